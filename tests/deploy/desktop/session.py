"""One sitting at the window, in a process of its own: types, clicks, takes pictures, fails where something is amiss.

Run by test_window.py: session.py SCENE ARTIFACT PICTURES light|dark.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from thinkport.deploy.desktop.opening import Recent
from thinkport.deploy.desktop.reply_view import ReplyView
from thinkport.deploy.desktop.window import ProviderDialog, Window
from thinkport.runtime import End, Finish, ThinkingEnd

QUESTION = "What is 86*57?"


class Sitting:
    """The window, and what a person at it does."""

    def __init__(self, artifact: Path, pictures: Path, *, dark: bool):
        self.application = QApplication(["thinkport"])
        self.application.setStyle("Fusion")
        self.application.setPalette(dark_palette() if dark else self.application.style().standardPalette())
        self.artifact, self.pictures, self.name = artifact, pictures, "dark" if dark else "light"
        self.window = Window(Recent(pictures / "recent.json"), provider="cpu")
        self.window.show()
        self.page, self.late = self.window.chat_page, Lateness()

    def until(self, what: Callable[[], object], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not come"
            QTest.qWait(10)

    def picture(self, name: str) -> None:
        QTest.qWait(120)
        assert self.window.grab().save(str(self.pictures / f"{self.name}-{name}.png"))

    def open(self) -> None:
        self.window.open(self.artifact)
        self.until(lambda: self.page.isVisible())

    def ask(self, text: str = QUESTION) -> None:
        QTest.keyClicks(self.page.composer.edit, text)
        QTest.keyClick(self.page.composer.edit, Qt.Key.Key_Return)

    def press(self, key: Qt.Key) -> None:
        """A key with Ctrl; there is no window manager that would make the window active by itself."""
        self.window.activateWindow()
        assert QTest.qWaitForWindowActive(self.window)
        QTest.keyClick(self.page.composer.edit, key, Qt.KeyboardModifier.ControlModifier)
        QTest.qWait(50)

    def answered(self) -> bool:
        return self.page.composer.send_button.isEnabled()

    def replies(self) -> list[ReplyView]:
        return list(self.page.transcript.findChildren(ReplyView))

    def ends(self) -> list[End]:
        return [reply.end for reply in self.replies() if reply.end is not None]

    def failures(self) -> list[str]:
        return [label.text() for label in self.page.transcript.findChildren(QLabel, "failure")]


def dark_palette() -> QPalette:
    """What a dark desktop hands to Qt, whose style draws the rest from it."""
    palette = QPalette(QColor("#2b2b2b"), QColor("#252525"))
    roles = QPalette.ColorRole
    for role, color in {
        roles.Base: "#1b1b1b",
        roles.AlternateBase: "#323232",
        roles.PlaceholderText: "#9a9a9a",
        roles.Midlight: "#3a3a3a",
        roles.Mid: "#5a5a5a",
    }.items():
        palette.setColor(role, QColor(color))
    return palette


class Lateness:
    """How many seconds the window's own timer of 60 Hz comes late, at worst."""

    def __init__(self) -> None:
        self.worst, self._last = 0.0, time.perf_counter()
        self.timer = QTimer()
        self.timer.timeout.connect(self._tick)
        self.timer.start(16)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.worst, self._last = max(self.worst, now - self._last - 0.016), now


def conversation(at: Sitting) -> None:
    """Opens, thinks, answers, folds, copies, exports, begins anew."""
    at.picture("empty")
    at.open()
    at.picture("ready")
    at.page.controls.switch.setCurrentText("On")
    at.ask()
    at.until(lambda: at.replies() and at.replies()[0].thought)
    at.picture("thinking")
    at.until(at.answered)
    (reply,) = at.replies()
    QTest.qWait(100)
    assert reply.answer.strip() == "4902"
    assert not reply.thought_view.text.isVisible()
    at.picture("answered")
    QTest.mouseClick(reply.thought_view.button, Qt.MouseButton.LeftButton)
    assert reply.thought_view.text.isVisible()
    assert reply.thought_view.text.text() == reply.thought.strip()
    at.picture("unfolded")
    QTest.mouseClick(reply.copy_button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == reply.answer
    at.window.export(at.pictures / "conversation.md")
    at.window.export(at.pictures / "conversation.json")
    assert "## You\n\nWhat is 86*57?" in (at.pictures / "conversation.md").read_text(encoding="utf-8")
    said = json.loads((at.pictures / "conversation.json").read_text(encoding="utf-8"))["messages"]
    assert [message["role"] for message in said] == ["user", "assistant"]
    at.press(Qt.Key.Key_N)
    assert at.replies() == [] or not at.replies()[0].isVisible()
    assert at.page.chat is not None
    assert at.page.chat.messages == []


def switches(at: Sitting) -> None:
    """Thinking off, a budget, the button that has the answer now, the button that stops."""
    at.open()
    controls = at.page.controls
    controls.switch.setCurrentText("Off")
    assert not controls.limited.isEnabled()
    at.ask()
    at.until(at.answered)
    assert at.replies()[0].thought == ""
    controls.switch.setCurrentText("On")
    controls.limited.setChecked(True)
    controls.slider.setValue(1)
    assert controls.number.value() == 64
    controls.number.setValue(20)
    at.ask()
    at.until(at.answered)
    QTest.qWait(100)
    assert "20 tokens · budget" in at.replies()[1].thought_view.button.text()
    at.picture("budget")
    controls.limited.setChecked(False)
    at.ask()
    QTest.mouseClick(at.page.composer.answer_button, Qt.MouseButton.LeftButton)
    at.until(at.answered)
    assert at.ends()[2].thinking_end is ThinkingEnd.USER
    assert at.ends()[2].answer
    at.ask()
    QTest.mouseClick(at.page.composer.stop_button, Qt.MouseButton.LeftButton)
    at.until(at.answered)
    assert at.ends()[3].answer_end is Finish.CANCELLED


def errors(at: Sitting) -> None:
    """A folder that is none, then one that is; a message that is too long; a window that goes on."""
    at.window.open(at.pictures)
    at.until(lambda: "thinkport.json" in at.window.start_page.message.text())
    at.picture("wrong-folder")
    at.open()
    at.ask("one")
    at.until(at.answered)
    at.page.send("many words " * 6000)
    at.until(at.answered)
    assert len(at.failures()) == 1
    at.picture("error")
    at.page.transcript.clear()
    at.page.send(QUESTION)
    at.until(at.answered)
    assert at.failures() == []


def markdown(at: Sitting) -> None:
    """What a model might write: Markdown is drawn, HTML is text, an image is not loaded."""
    at.open()
    reply = at.page.transcript.begin_reply()
    reply.answer = (
        "# A heading\n\nSome **bold** and `code`.\n\n```python\nprint('a block')\n```\n\n- one\n- two\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n<b>not bold</b> ![picture](file:///etc/hostname)"
    )
    reply._draw()
    assert "<b>not bold</b>" in reply.answer_view.toPlainText()
    at.picture("markdown")
    at.window.show_provider()
    dialog = next(one for one in at.window.children() if isinstance(one, ProviderDialog))
    QTest.qWait(100)
    assert dialog.grab().save(str(at.pictures / f"{at.name}-provider.png"))
    dialog.reject()


SCENES = {scene.__name__: scene for scene in (conversation, switches, errors, markdown)}

if __name__ == "__main__":
    scene, artifact, pictures, scheme = sys.argv[1:]
    sitting = Sitting(Path(artifact), Path(pictures), dark=scheme == "dark")
    SCENES[scene](sitting)
    sitting.window.close()
    print(f"the window's timer was {1e3 * sitting.late.worst:.0f} ms late at worst")
