"""A reply in the transcript: its thought, its answer, its figures."""

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from thinkport.deploy.desktop.answer_view import AnswerBrowser
from thinkport.deploy.desktop.thought_view import ThoughtView
from thinkport.runtime.events import AnswerPiece, End, ThoughtPiece
from thinkport.runtime.terminal.figures import turn_parts

_REDRAW = 40  # ms between two drawings of text that grows


class ReplyView(QFrame):
    """Takes the events of one reply."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.answer = self.thought = ""
        self.end: End | None = None
        self.thought_view, self.answer_view = ThoughtView(self), AnswerBrowser(self)
        self.figures, self.copy_button = QLabel(self), QPushButton("Copy", self)
        self.figures.setWordWrap(True)
        self.copy_button.setToolTip("Copy the answer, as Markdown")
        self.copy_button.clicked.connect(self.copy)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW)
        self._redraw.timeout.connect(self._draw)
        self._lay_out()

    def take(self, event: object) -> None:
        """Show one more event."""
        if isinstance(event, ThoughtPiece):
            self.thought += event.text
        elif isinstance(event, AnswerPiece):
            if self.thought and not self.answer:
                self.thought_view.fold()
            self.answer += event.text
        elif isinstance(event, End):
            self._finish(event)
        if not self._redraw.isActive():
            self._redraw.start()

    @property
    def empty(self) -> bool:
        """Whether nothing came yet."""
        return not self.thought and not self.answer

    def copy(self) -> None:
        """Put the answer on the clipboard."""
        QGuiApplication.clipboard().setText(self.answer)
        self.copy_button.setText("Copied")
        QTimer.singleShot(1500, self.copy_button, lambda: self.copy_button.setText("Copy"))

    def _lay_out(self) -> None:
        beneath = QHBoxLayout()
        beneath.addWidget(self.figures, 1)
        beneath.addWidget(self.copy_button)
        layout = QVBoxLayout(self)
        for widget in (self.thought_view, self.answer_view):
            layout.addWidget(widget)
            widget.hide()
        layout.addLayout(beneath)
        self.figures.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.copy_button.hide()

    def _finish(self, end: End) -> None:
        self.end = end
        if end.thought:
            self.thought_view.say(f"Thought · {end.thought_tokens} tokens · {end.thinking_end}")
            self.thought_view.fold()
        self.figures.setText(" · ".join(turn_parts(end)))
        self.copy_button.setVisible(bool(end.answer))

    def _draw(self) -> None:
        self.thought_view.setVisible(bool(self.thought.strip()))
        self.thought_view.show_text(self.thought)
        self.answer_view.setVisible(bool(self.answer.strip()))
        self.answer_view.show_markdown(self.answer)
