"""Whether Qt can open a window here: where it can't, Qt ends the whole program, without a word to a person."""

import ctypes
import os
import sys
from pathlib import Path

from thinkport.runtime.errors import InputError, MissingExtraError

_PACKAGES = (
    "on Debian and Ubuntu apt install libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxkbcommon-x11-0 libegl1, on "
    "Fedora dnf install xcb-util-cursor xcb-util-wm xcb-util-keysyms libxkbcommon-x11 libglvnd-egl"
)


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
