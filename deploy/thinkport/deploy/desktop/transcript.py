"""What was said, from top to bottom. Stays at its end while something is added there, unless it was scrolled away."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from thinkport.deploy.desktop.reply_view import ReplyView, plain_label

_NEAR = 24  # pixels from the end that count as being there
_SHAPE = "border-radius: 8px; padding: 8px 12px;"
_SHOWN = 4000  # characters of a message; more would keep the window busy


class Transcript(QScrollArea):
    """Messages of the user, replies, and what went wrong."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent, widgetResizable=True, frameShape=QFrame.Shape.NoFrame, accessibleName="Conversation")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._at_end = True
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._grown)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        page = QWidget()
        self._layout = QVBoxLayout(page, spacing=10)
        self.hint = plain_label("Ask something. Enter sends, Shift+Enter begins a new line.")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._layout.addStretch(1)
        self._layout.addWidget(self.hint)
        self._layout.addStretch(1)
        self._at_end = True
        self.setWidget(page)

    def say(self, text: str) -> None:
        """Add what the user said."""
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …\n({len(text):,} characters)"
        asked = plain_label(shown, objectName="asked", accessibleName="You")
        asked.setStyleSheet(f"#asked {{ background: palette(base); border: 1px solid palette(midlight); {_SHAPE} }}")
        self._at_end = True
        self._add(asked)

    def begin_reply(self) -> ReplyView:
        """Add an empty reply."""
        reply = ReplyView()
        self._add(reply)
        return reply

    def fail(self, text: str) -> None:
        """Add what went wrong."""
        dark = self.palette().window().color().lightness() < 128
        color = "#f2a09a" if dark else "#a3180f"
        failure = plain_label(f"It didn't work: {text}", objectName="failure", accessibleName="Error")
        failure.setStyleSheet(f"#failure {{ color: {color}; border: 1px solid {color}; {_SHAPE} }}")
        self._at_end = True
        self._add(failure)

    def _add(self, widget: QWidget) -> None:
        if self.hint.isVisibleTo(self):
            self.hint.hide()
            self._layout.removeItem(self._layout.itemAt(0))  # what kept the hint in the middle
        self._layout.insertWidget(self._layout.count() - 1, widget)

    def _scrolled(self, value: int) -> None:
        self._at_end = value >= self.verticalScrollBar().maximum() - _NEAR

    def _grown(self, _: int, end: int) -> None:
        if self._at_end:
            self.verticalScrollBar().setValue(end)
