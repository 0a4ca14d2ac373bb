"""The system's web view by pywebview: one window, its dialogs, and where it was on the screen.

Knows pywebview, which it imports when it is called. Must not know what the page shows.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thinkport.runtime.machine.user_cache import write_whole

_LEAST = (360, 480)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A window's size and place in pixels; None for where the system puts it."""

    width: int = 1080
    height: int = 760
    x: int | None = None
    y: int | None = None

    @classmethod
    def read(cls, file: Path) -> "Placement":
        """What was kept last; the default where nothing can be read, or it makes no sense."""
        try:
            kept = cls(**json.loads(file.read_text(encoding="utf-8")))
            sensible = kept.width >= _LEAST[0] and kept.height >= _LEAST[1]
        except (OSError, ValueError, TypeError):
            return cls()
        return kept if sensible else cls()

    def write(self, file: Path) -> None:
        """Keep it, if the folder can be written."""
        write_whole(file, json.dumps(asdict(self)))


class WebView:
    """A window with a page in it. `show` blocks, and belongs to the main thread."""

    def __init__(self, title: str, url: str, placement_file: Path):
        import webview

        self._webview, self._file = webview, placement_file
        webview.settings["OPEN_EXTERNAL_LINKS_IN_BROWSER"] = True
        webview.settings["ALLOW_DOWNLOADS"] = False  # the page asks for a place by `file`
        placed = Placement.read(placement_file)
        self._window: Any = webview.create_window(
            title, url, **asdict(placed), min_size=_LEAST, text_select=True, zoomable=True
        )
        self._window.events.closing += self._remember

    def show(self, gui: str | None) -> None:
        """Show the window until it is closed; `gui` is pywebview's name of a web view, None for the system's."""
        self._webview.start(gui=gui, private_mode=True, debug=False)

    def folder(self) -> Path | None:
        """See `Dialogs`."""
        return _chosen(self._window.create_file_dialog(self._webview.FileDialog.FOLDER))

    def file(self, name: str) -> Path | None:
        """See `Dialogs`."""
        return _chosen(self._window.create_file_dialog(self._webview.FileDialog.SAVE, save_filename=name))

    def _remember(self) -> None:
        with suppress(Exception):  # a window that is half gone tells nothing, and is no failure
            one = self._window
            Placement(width=int(one.width), height=int(one.height), x=int(one.x), y=int(one.y)).write(self._file)


def _chosen(answer: Any) -> Path | None:
    """The path of a dialog's answer: a text, a sequence of them, or nothing."""
    if not answer:
        return None
    return Path(answer if isinstance(answer, str) else answer[0])
