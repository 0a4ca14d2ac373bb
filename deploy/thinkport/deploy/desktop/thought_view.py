"""A thought that grows, and that folds to one line."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget


class ThoughtView(QWidget):
    """A button with what the thought took, over its text; the button folds it."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.button = QToolButton(self)
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.toggled.connect(self._unfold)
        self.text = QLabel(self)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.text.setStyleSheet("padding-left: 10px; border-left: 2px solid palette(mid); font-style: italic;")
        self.text.setAccessibleName("Thought")
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

    def show_text(self, text: str) -> None:
        """The thought so far."""
        self.text.setText(text.strip())

    def fold(self) -> None:
        """Hide the text; the button shows it again."""
        self.button.setChecked(False)

    def _unfold(self, shown: bool) -> None:
        self.text.setVisible(shown)
        self.button.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
