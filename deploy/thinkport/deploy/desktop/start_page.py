"""What is shown while no artifact is open: how to open one, those of before, and the progress of an opening."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QListWidget, QListWidgetItem, QProgressBar, QPushButton, QVBoxLayout, QWidget

from thinkport.deploy.desktop.reply_view import plain_label

HINT = "An artifact is a folder that `thinkport export` wrote."
_WIDTH = 460


class StartPage(QWidget):
    """`chosen` carries a folder of before, `asked` wants a dialog for another one."""

    chosen = Signal(Path)
    asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.title = QLabel("Open an artifact", self, textFormat=Qt.TextFormat.PlainText)
        self.message = plain_label("")
        self.open_button = QPushButton("&Open a folder …", self)
        self.recent, self.progress = QListWidget(self, accessibleName="Opened before"), QProgressBar(self)
        self.recent.itemActivated.connect(lambda item: self.chosen.emit(Path(item.data(Qt.ItemDataRole.UserRole))))
        self.recent.itemClicked.connect(self.recent.itemActivated)
        self.open_button.clicked.connect(self.asked)
        self._lay_out()

    def offer(self, opened: list[Path], message: str) -> None:
        """Ask for a folder; `message` may be why the last one could not be opened."""
        self.title.setText("Open an artifact")
        self.message.setText(message)
        self.recent.clear()
        for folder in opened:
            item = QListWidgetItem(f"{folder.name}\n{folder}", self.recent)
            item.setData(Qt.ItemDataRole.UserRole, str(folder))
        self._show(opening=False, listed=bool(opened))

    def show_progress(self, folder: Path, what: str, share: float | None) -> None:
        """Tell what the opening does now; a share of None is a bar that only moves."""
        self.title.setText(folder.name)
        self.message.setText(what)
        self.progress.setRange(0, 0 if share is None else 1000)
        self.progress.setValue(0 if share is None else round(1000 * share))
        self._show(opening=True, listed=False)

    def _show(self, *, opening: bool, listed: bool) -> None:
        self.progress.setVisible(opening)
        self.open_button.setVisible(not opening)
        self.recent.setVisible(listed)

    def _lay_out(self) -> None:
        font = self.title.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        self.title.setFont(font)
        column = QWidget(self)
        column.setFixedWidth(_WIDTH)
        inner = QVBoxLayout(column)
        for widget in (self.title, self.message, self.progress, self.open_button, self.recent):
            inner.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addWidget(column, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
