"""Which graph runs on what, and what became of the others."""

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from thinkport.runtime.providers.provider_report import ProviderReport

_COLUMNS = ("Graph", "Provider", "Outcome", "Reason")


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
