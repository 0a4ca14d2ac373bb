"""An answer as Markdown. What a model writes loads nothing, runs nothing and opens nothing."""

from typing import Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPalette, QResizeEvent, QTextCursor, QTextDocument, QTextFormat, QWheelEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

_FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_INDENT = 20  # pixels of a list's level


class SealedDocument(QTextDocument):
    """A document whose images and styles stay unread, be they in files or elsewhere."""

    def loadResource(self, kind: int, name: Any) -> None:  # noqa: N802 - Qt's name
        """Nothing, whatever is asked for."""


class AnswerBrowser(QTextBrowser):
    """As high as its text, so that what holds it scrolls. Its links are text."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setDocument(SealedDocument(self))
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(_INDENT)
        self.setAccessibleName("Answer")

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
