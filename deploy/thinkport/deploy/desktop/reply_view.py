"""A reply in the transcript: its thought, its answer, its figures.

An answer is drawn as Markdown. What a model writes loads nothing, runs nothing and opens nothing.
"""

from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QPalette, QResizeEvent, QTextCursor, QTextDocument, QTextFormat, QWheelEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTextBrowser,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from thinkport.runtime.events import AnswerPiece, End, ThoughtPiece
from thinkport.runtime.terminal.figures import turn_parts

_REDRAW = 40  # ms between two drawings of text that grows
_FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_INDENT = 20  # pixels of a list's level


def plain_label(text: str, **properties: Any) -> QLabel:
    """A label that shows a text as it is, wrapped; it can be selected."""
    label = QLabel(text, textFormat=Qt.TextFormat.PlainText, wordWrap=True, **properties)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


class ThoughtView(QWidget):
    """A button with what the thought took, over its text; the button folds it."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.button = QToolButton(self, checkable=True, autoRaise=True, toggled=self._unfold)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.text = plain_label("", accessibleName="Thought")
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.text.setStyleSheet("padding-left: 10px; border-left: 2px solid palette(mid); font-style: italic;")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.addWidget(self.button)
        layout.addWidget(self.text)
        self.button.setChecked(True)
        self.say("Thinking …")

    def say(self, what: str) -> None:
        """Put this on the button."""
        self.button.setText(what)
        self.button.setAccessibleName(f"{what}; shows or hides the thought")

    def _unfold(self, shown: bool) -> None:
        self.text.setVisible(shown)
        self.button.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)


class SealedDocument(QTextDocument):
    """A document whose images and styles stay unread, be they in files or elsewhere."""

    def loadResource(self, kind: int, name: Any) -> None:  # noqa: N802 - Qt's name
        """Nothing, whatever is asked for."""


class AnswerBrowser(QTextBrowser):
    """As high as its text, so that what holds it scrolls. Its links are text."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent, openLinks=False, frameShape=QFrame.Shape.NoFrame, accessibleName="Answer")
        self.setDocument(SealedDocument(self, documentMargin=0, indentWidth=_INDENT))
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.viewport().setAutoFillBackground(False)

    def show_markdown(self, text: str) -> None:
        """Show the text, raw HTML as text."""
        self.document().setMarkdown(text, _FEATURES)
        self._shade_code()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Keep the height that the text needs at the new width."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave scrolling to the transcript."""
        event.ignore()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Narrow windows are allowed."""
        return QSize(80, self.minimumHeight())

    def _shade_code(self) -> None:
        """Draw fenced code on the colour of input fields."""
        block = self.document().begin()
        while block.isValid():
            style = block.blockFormat()
            if style.hasProperty(QTextFormat.Property.BlockCodeFence):
                style.setBackground(self.palette().brush(QPalette.ColorRole.AlternateBase))
                QTextCursor(block).setBlockFormat(style)
            block = block.next()

    def _fit(self) -> None:
        bar = self.horizontalScrollBar()
        beneath = bar.sizeHint().height() if bar.maximum() > 0 else 0
        self.setFixedHeight(max(1, round(self.document().size().height()) + beneath + 1))


class ReplyView(QFrame):
    """Takes the events of one reply."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.answer = self.thought = ""
        self.end: End | None = None
        self.thought_view, self.answer_view = ThoughtView(self), AnswerBrowser(self)
        self.figures = QLabel(self, wordWrap=True)
        self.copy_button = QPushButton("Copy", self, toolTip="Copy the answer, as Markdown", clicked=self.copy)
        self._redraw = QTimer(self, singleShot=True, interval=_REDRAW, timeout=self._draw)
        self._lay_out()

    def take(self, event: object) -> None:
        """Show one more event."""
        if isinstance(event, ThoughtPiece):
            self.thought += event.text
        elif isinstance(event, AnswerPiece):
            if self.thought and not self.answer:
                self.thought_view.button.setChecked(False)
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
            self.thought_view.button.setChecked(False)
        self.figures.setText(" · ".join(turn_parts(end)))
        self.copy_button.setVisible(bool(end.answer))

    def _draw(self) -> None:
        self.thought_view.setVisible(bool(self.thought.strip()))
        self.thought_view.text.setText(self.thought.strip())
        self.answer_view.setVisible(bool(self.answer.strip()))
        self.answer_view.show_markdown(self.answer)
