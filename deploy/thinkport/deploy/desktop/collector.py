"""Garbage collected in the window's thread only: a widget that a worker's thread happened to free would crash Qt."""

import gc

from PySide6.QtCore import QObject, QTimer

_INTERVAL = 1000  # milliseconds


class Collector(QObject):
    """Does what Python's collector would, by its own thresholds, whenever the event loop has a moment."""

    def __init__(self, parent: QObject):
        """Python's own stays off until `stop`."""
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self, interval=_INTERVAL)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def stop(self) -> None:
        """Hand the work back."""
        self._timer.stop()
        gc.collect()
        gc.enable()

    def _collect(self) -> None:
        due = [
            at for at, (count, most) in enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)) if count > most
        ]
        if due:
            gc.collect(max(due))
