"""From an artifact's folder to a window, and to the end of the program: the page over a server of this process.

Where there is no screen, web views end a program without a word to a person, so that is looked at before.
"""

import ctypes
import os
import sys
from functools import partial
from pathlib import Path
from secrets import token_urlsafe

from thinkport.runtime.errors import InputError, MissingExtraError
from thinkport.runtime.extras import install_line, require

_PACKAGES = (
    "on Debian and Ubuntu apt install libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxkbcommon-x11-0 libegl1 libnss3 "
    "libasound2, on Fedora dnf install xcb-util-cursor xcb-util-wm xcb-util-keysyms libxkbcommon-x11 libglvnd-egl nss "
    "alsa-lib"
)


def run(artifact: Path | None = None, *, provider: str, state: Path) -> int:
    """Show the window until it is closed; the program's exit code.

    `artifact` is opened at once; None asks for one. `state` is the folder that keeps conversations, which artifacts
    were opened, and where the window was.

    Raises:
        InputError: there is no screen, or the page is not built.
        MissingExtraError: pywebview is not installed, or a library of the system that it needs.
    """
    check_screen()
    require("desktop", "webview", "starlette", "uvicorn", "prometheus_client")
    gui = check_web_view()
    from thinkport.deploy.desktop.conversation_files import ConversationFiles
    from thinkport.deploy.desktop.opening import Recent
    from thinkport.deploy.desktop.stage import Stage
    from thinkport.deploy.desktop.web_view import WebView
    from thinkport.deploy.desktop.window_app import WindowApp
    from thinkport.deploy.desktop.window_server import WindowServer
    from thinkport.runtime.server.interface.page import how_to_build, is_built
    from thinkport.runtime.server.settings import ServerSettings

    if not is_built():
        raise InputError(how_to_build())
    settings = ServerSettings(port=0, api_key=token_urlsafe(32), grace_seconds=0, max_body=64 << 20)
    stage = Stage(Recent(state / "desktop.json"), settings, provider=provider)
    app = WindowApp(stage, ConversationFiles(state / "desktop"), lambda: view, settings)
    with WindowServer(app, settings, on_end=stage.end) as server:
        if artifact is not None:
            server.call(partial(stage.open, artifact))
        view = WebView("thinkport", f"{server.url}{app.entry}", state / "window.json")
        view.show(gui)
    return 0


def check_screen() -> None:
    """Check that there is a screen.

    Raises:
        InputError: there is none.
    """
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in names):
        raise InputError("there is no screen to open a window on (DISPLAY is empty): try `thinkport chat`")


def check_web_view() -> str | None:
    """The web view to take: the system's own, None, but Qt's on Linux, where no other is sure to be there.

    Raises:
        MissingExtraError: Qt's is not installed, or lacks a library of the system, which is named with its packages.
    """
    if sys.platform != "linux":
        return None
    try:
        from PySide6.QtWebEngineWidgets import QWebEngineView  # noqa: F401 - linked with nearly all that a window needs

        _link_screen()
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{error.name} not installed: run {install_line('desktop')}") from error
    except (ImportError, OSError) as error:  # the linker's words: "libEGL.so.1: cannot open shared object file…"
        library = str(error).partition(":")[0]
        raise MissingExtraError(f"Qt's web view needs {library}, which this system lacks: {_PACKAGES}") from error
    return "qt"


def _link_screen() -> None:
    """Link what Qt shows windows by on X, where it would end the program; raises the linker's OSError."""
    from PySide6 import QtCore

    place = Path(QtCore.QLibraryInfo.path(QtCore.QLibraryInfo.LibraryPath.PluginsPath)) / "platforms" / "libqxcb.so"
    if place.is_file() and not os.environ.get("WAYLAND_DISPLAY"):
        ctypes.CDLL(str(place))
