"""The main window: a page to open artifacts on, a page to talk on, the menus over both, and the provider report."""

from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QMainWindow,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from thinkport.deploy.desktop.chat_page import ChatPage
from thinkport.deploy.desktop.conversation_export import export_conversation
from thinkport.deploy.desktop.opening import Recent, open_artifact
from thinkport.deploy.desktop.start_page import HINT, StartPage
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.model import Model
from thinkport.runtime.providers.provider_report import ProviderReport

_COLUMNS = ("Graph", "Provider", "Outcome", "Reason")
_KINDS = "Markdown (*.md);;JSON (*.json)"


class ProviderDialog(QDialog):
    """A table of a report's attempts, which can be copied as text."""

    def __init__(self, report: ProviderReport, parent: QWidget | None = None):
        super().__init__(parent, windowTitle="Provider report")
        self.resize(720, 280)
        self._text = "\n".join([f"asked: {report.asked}, build: {report.build}", *map(str, report.attempts)])
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        copy = buttons.addButton("&Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._text))
        buttons.rejected.connect(self.reject)
        told = f"{report.reason}\nAsked for {report.asked}; ONNX Runtime's build: {report.build}"
        reason = QLabel(told, self, wordWrap=True)
        layout = QVBoxLayout(self)
        layout.addWidget(reason)
        layout.addWidget(_table(report))
        layout.addWidget(buttons)


def _table(report: ProviderReport) -> QTableWidget:
    table = QTableWidget(len(report.attempts), len(_COLUMNS), editTriggers=QTableWidget.EditTrigger.NoEditTriggers)
    table.setHorizontalHeaderLabels(list(_COLUMNS))
    table.verticalHeader().hide()
    for row, one in enumerate(report.attempts):
        for column, text in enumerate((one.graph, one.place, one.outcome.value, one.reason)):
            table.setItem(row, column, QTableWidgetItem(text))
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.horizontalHeader().setStretchLastSection(True)
    table.resizeRowsToContents()
    return table


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


class Window(QMainWindow):
    """`provider` is what `Model.load` takes."""

    def __init__(self, recent: Recent, *, provider: str):
        super().__init__()
        self._recent, self._provider = recent, provider
        self._opening: OpeningSignals | None = None
        self._model: Model | None = None
        self._folder = Path()
        self.start_page, self.chat_page, self.pages = StartPage(), ChatPage(), QStackedWidget()
        self.runs_on = QLabel()
        self.pages.addWidget(self.start_page)
        self.pages.addWidget(self.chat_page)
        self.setCentralWidget(self.pages)
        self.statusBar().addWidget(self.runs_on, 1)
        self.start_page.asked.connect(self.ask_for_folder)
        self.start_page.chosen.connect(self.open)
        self._make_menus()
        self.resize(880, 680)
        self._offer()

    def open(self, folder: Path) -> None:
        """Load an artifact in another thread; the one that is open stays until then."""
        if self._opening is not None:
            return
        self._opening = opening = OpeningSignals(folder, self._recent, provider=self._provider)
        opening.progress.connect(lambda what, share: self.start_page.show_progress(folder, what, share))
        opening.opened.connect(self._use)
        opening.failed.connect(self._fail)
        self.start_page.show_progress(folder, "Looking at the files", None)
        self._show_chat(shown=False)
        opening.start()

    def ask_for_folder(self) -> None:
        """Let a folder be picked."""
        folder = QFileDialog.getExistingDirectory(self, "Open an artifact")
        if folder:
            self.open(Path(folder))

    def ask_for_file(self) -> None:
        """Let a file be picked for the conversation."""
        name, kind = QFileDialog.getSaveFileName(self, "Export the conversation", "conversation.md", _KINDS)
        if name:
            path = Path(name)
            self.export(path if path.suffix else path.with_suffix(".json" if "json" in kind else ".md"))

    def export(self, path: Path) -> None:
        """Write the conversation as the file's name has it."""
        chat = self.chat_page.chat
        try:
            export_conversation(path, chat.messages if chat else [], artifact=self._folder.name)
        except ThinkportError as error:
            self.chat_page.transcript.fail(str(error))
        else:
            self.statusBar().showMessage(f"Written to {path}", 5000)

    def show_provider(self) -> None:
        """Show which graph runs on what, and why."""
        if self._model is not None:
            ProviderDialog(self._model.provider_report, self).open()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """End what goes on, and free the model."""
        self.chat_page.leave()
        super().closeEvent(event)

    def _use(self, model: Model) -> None:
        assert self._opening is not None, "a model came that nobody opened"
        self._folder, self._opening, self._model = self._opening.folder, None, model
        self.setWindowTitle(f"{self._folder.name} – thinkport")
        chosen = model.provider_report.chosen
        self.runs_on.setText(str(chosen) if chosen else "")
        self.chat_page.use(model)
        self._show_chat(shown=True)
        self.chat_page.composer.edit.setFocus()

    def _fail(self, error: Exception) -> None:
        self._opening = None
        told = str(error) if isinstance(error, ThinkportError) else f"An error that nobody expected: {error!r}"
        if self._model is None:
            self._offer(told)
            return
        self._show_chat(shown=True)  # the one before is still there
        self.chat_page.transcript.fail(told)

    def _offer(self, message: str = HINT) -> None:
        self.start_page.offer(self._recent.all(), message)
        self.setWindowTitle("thinkport")
        self._show_chat(shown=False)

    def _show_chat(self, *, shown: bool) -> None:
        self.pages.setCurrentWidget(self.chat_page if shown else self.start_page)
        for action in self._of_chats:
            action.setEnabled(shown)

    def _make_menus(self) -> None:
        file, view = self.menuBar().addMenu("&File"), self.menuBar().addMenu("&Model")
        opens = self._action("&Open an artifact …", QKeySequence.StandardKey.Open, self.ask_for_folder)
        anew = self._action("&New chat", QKeySequence.StandardKey.New, self.chat_page.begin_anew)
        export = self._action("&Export the conversation …", QKeySequence("Ctrl+E"), self.ask_for_file)
        report = self._action("&Provider report", QKeySequence("Ctrl+I"), self.show_provider)
        close = self._action("&Quit", QKeySequence.StandardKey.Quit, self.close)
        self._of_chats = [anew, export, report]
        file.addActions([anew, opens, export, close])
        view.addAction(report)
        bar = self.addToolBar("Actions")
        bar.setMovable(False)
        bar.addActions([anew, opens, export, report])

    def _action(self, text: str, keys: object, do: object) -> QAction:
        return QAction(text, self, shortcut=keys, triggered=do)
