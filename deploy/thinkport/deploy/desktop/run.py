"""From an artifact's folder to a window, and to the end of the program. Imports PySide6 only when it is called.

Where Qt can't open a window, it ends the whole program without a word to a person, so that is looked at before.
"""

import ctypes
import gc
import os
import sys
from pathlib import Path

from thinkport.runtime.errors import InputError, MissingExtraError
from thinkport.runtime.extras import require

_PACKAGES = (
    "on Debian and Ubuntu apt install libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxkbcommon-x11-0 libegl1, on "
    "Fedora dnf install xcb-util-cursor xcb-util-wm xcb-util-keysyms libxkbcommon-x11 libglvnd-egl"
)
_COLLECTS = 1000  # milliseconds between two collections of garbage


def run(artifact: Path | None = None, *, provider: str, state: Path) -> int:
    """Show the window until it is closed; the program's exit code.

    `artifact` is opened at once; None asks for one. `state` is the folder that keeps which artifacts were opened.

    Raises:
        InputError: there is no screen.
        MissingExtraError: PySide6 is not installed, or a library of the system that it needs.
    """
    check_screen()
    require("desktop", "PySide6")
    check_libraries()
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from thinkport.deploy.desktop.opening import Recent
    from thinkport.deploy.desktop.window import Window

    application = QApplication.instance() or QApplication(["thinkport"])
    application.setApplicationName("thinkport")
    gc.disable()  # a widget that a worker's thread happened to free would crash Qt: this thread collects instead
    collector = QTimer(application, interval=_COLLECTS, timeout=_collect)
    collector.start()
    window = Window(Recent(state / "desktop.json"), provider=provider)
    window.show()
    if artifact is not None:
        window.open(artifact)
    code: int = application.exec()
    collector.stop()
    gc.collect()
    gc.enable()
    return code


def check_screen() -> None:
    """Check that there is a screen.

    Raises:
        InputError: there is none.
    """
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in names):
        raise InputError("there is no screen to open a window on (DISPLAY is empty): try `thinkport chat`")


def check_libraries() -> None:
    """Check that the system has the libraries that PySide6 and its plugin for X11 are linked with.

    Raises:
        MissingExtraError: one is missing; with its name, and the packages that bring it.
    """
    if sys.platform != "linux":
        return
    try:
        from PySide6.QtCore import QLibraryInfo
        from PySide6.QtWidgets import QApplication  # noqa: F401 - linked with libEGL, whichever plugin is taken

        plugin = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath), "platforms", "libqxcb.so")
        on_x11 = os.environ.get("QT_QPA_PLATFORM", "xcb") == "xcb" and not os.environ.get("WAYLAND_DISPLAY")
        if on_x11 and plugin.is_file():
            ctypes.CDLL(str(plugin))
    except (ImportError, OSError) as error:  # the linker's words: "libxcb-cursor.so.0: cannot open shared object file…"
        library = str(error).partition(":")[0]
        raise MissingExtraError(f"Qt needs {library}, which this system lacks: {_PACKAGES}") from error


def _collect() -> None:
    """Do what Python's collector would, by its own thresholds."""
    counts = zip(gc.get_count(), gc.get_threshold(), strict=True)
    due = [generation for generation, (count, most) in enumerate(counts) if count > most]
    if due:
        gc.collect(max(due))
