"""An artifact that is opened in a thread of its own: Qt delivers what it tells in the window's thread."""

from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from PySide6.QtCore import QObject, Signal

from thinkport.deploy.desktop.opening import Recent, open_artifact


class OpeningSignals(QObject):
    """An artifact that is being opened in a thread; the last signal is `opened` or `failed`."""

    progress = Signal(str, object)
    opened = Signal(object)
    failed = Signal(object)

    def __init__(self, folder: Path, recent: Recent, *, provider: str):
        super().__init__()
        self.folder = folder
        # No daemon: a load that is torn down within ONNX Runtime may crash; the program ends once it is over.
        self._thread = Thread(target=self._run, args=(recent, provider), name="thinkport-opening")

    def start(self) -> None:
        """Begin; signals that nobody hears any more go nowhere."""
        self._thread.start()

    def _run(self, recent: Recent, provider: str) -> None:
        try:
            model = open_artifact(self.folder, recent, provider=provider, on_progress=partial(self._tell, "progress"))
        except Exception as error:  # whatever it is, the window shows it
            self._tell("failed", error)
        else:
            self._tell("opened", model)

    def _tell(self, signal: str, *what: Any) -> None:
        try:
            getattr(self, signal).emit(*what)
        except RuntimeError:  # the window is gone
            return
