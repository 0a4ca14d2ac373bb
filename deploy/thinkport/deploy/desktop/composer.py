"""Where a message is written, and the buttons that begin and end a reply."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

_LINES = 3


class MessageEdit(QPlainTextEdit):
    """Enter is `entered`; with Shift it begins a line."""

    entered = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent, placeholderText="Message", accessibleName="Message", tabChangesFocus=True)
        self.setFixedHeight(self.fontMetrics().lineSpacing() * _LINES + 14)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Send on Enter."""
        shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not shifted:
            self.entered.emit()
        else:
            super().keyPressEvent(event)


class Composer(QWidget):
    """`sent` carries a text; `answer_now` and `stop` are the buttons of those names."""

    sent = Signal(str)
    answer_now = Signal()
    stop = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.edit = MessageEdit(self)
        self.send_button = QPushButton("&Send", self, clicked=self._send)
        self.answer_button = QPushButton("&Answer now", self, toolTip="Stop thinking, and answer (Alt+A)")
        self.stop_button = QPushButton("Sto&p", self, toolTip="End the reply (Esc)", shortcut="Esc")
        self.edit.entered.connect(self._send)
        self.answer_button.clicked.connect(self.answer_now)
        self.stop_button.clicked.connect(self.stop)
        self._lay_out()
        self.set_busy(replying=False, thinking=False)

    def set_busy(self, *, replying: bool, thinking: bool) -> None:
        """Which of the buttons make sense."""
        self._replying = replying
        self.send_button.setEnabled(not replying)
        self.stop_button.setEnabled(replying)
        self.answer_button.setEnabled(thinking)

    def _send(self) -> None:
        text = self.edit.toPlainText().strip()
        if text and not self._replying:
            self.edit.clear()
            self.sent.emit(text)

    def _lay_out(self) -> None:
        buttons = QVBoxLayout()
        for button in (self.send_button, self.answer_button, self.stop_button):
            buttons.addWidget(button)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addLayout(buttons)
