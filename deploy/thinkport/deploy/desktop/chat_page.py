"""A conversation with an open model: transcript, settings, message, figures. Drives the turn API alone."""

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from thinkport.deploy.desktop.composer import Composer
from thinkport.deploy.desktop.live_figures import LiveFigures
from thinkport.deploy.desktop.reply_view import ReplyView
from thinkport.deploy.desktop.thinking_controls import ThinkingControls
from thinkport.deploy.desktop.transcript import Transcript
from thinkport.runtime.chat.chat import Chat
from thinkport.runtime.chat.turn import Turn
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.events import AnswerPiece, End, ThoughtPiece
from thinkport.runtime.model import Model
from thinkport.runtime.thinking.thinking import Switch

_PATIENCE = 5.0  # seconds that closing waits for a step in progress


class TurnSignals(QObject):
    """`event` carries each event of a turn, `done` the turn itself when it is over.

    Qt delivers them in the window's own thread.
    """

    event = Signal(object)
    done = Signal(object)


class ChatPage(QWidget):
    """One conversation at a time; `use` gives it a model."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.transcript, self.controls, self.composer = Transcript(self), ThinkingControls(self), Composer(self)
        self.figures = QLabel(self, textFormat=Qt.TextFormat.PlainText, accessibleName="Progress")
        self._model: Model | None = None
        self.chat: Chat | None = None
        self._turn: Turn | None = None
        self._signals: TurnSignals | None = None
        self._reply: ReplyView | None = None
        self._asked, self._live = "", LiveFigures()
        layout = QVBoxLayout(self)
        layout.addWidget(self.transcript, 1)
        for widget in (self.figures, self.controls, self.composer):
            layout.addWidget(widget)
        self.composer.sent.connect(self.send)
        self.composer.answer_now.connect(self.answer_now)
        self.composer.stop.connect(self.stop)

    def use(self, model: Model) -> None:
        """Talk to this model from now on, and close the one before."""
        self.leave()
        self._model = model
        self.begin_anew()

    def begin_anew(self) -> None:
        """A new conversation."""
        if self._model is None:
            return
        self._abandon()
        self.chat = self._model.chat()
        self.transcript.clear()
        self.figures.setText("Ready")
        self.composer.edit.setFocus()

    def send(self, text: str) -> None:
        """Ask for a reply."""
        if self.chat is None:
            return
        self.transcript.say(text)
        self._asked = text
        self._reply, self._live, self._signals = self.transcript.begin_reply(), LiveFigures(), TurnSignals(self)
        self._signals.event.connect(self._take)
        self._signals.done.connect(self._finish)
        self.figures.setText("Reading the prompt …")
        thinking = self.controls.thinking()
        self.composer.set_busy(replying=True, thinking=thinking.enabled is not Switch.OFF)
        self._turn = self.chat.start(
            text, on_event=self._signals.event.emit, on_done=self._signals.done.emit, thinking=thinking
        )

    def answer_now(self) -> None:
        """Close the thought, and have the answer."""
        if self._turn is not None:
            self._turn.stop_thinking()

    def stop(self) -> None:
        """End the reply; what came stays."""
        if self._turn is not None:
            self._turn.cancel()

    def leave(self) -> None:
        """Let go of the conversation and of the model's memory."""
        self._abandon()
        if self._model is not None:
            self._model.close()
        self._model = self.chat = None

    def _abandon(self) -> None:
        """End a reply that goes on, and hear no more of it."""
        if self._signals is not None:
            self._signals.event.disconnect(self._take)
            self._signals.done.disconnect(self._finish)
        if self._turn is not None:
            self._turn.abandon()
            self._turn.wait(_PATIENCE)
        self._rest()

    def _take(self, event: object) -> None:
        if self._reply is not None:
            self._reply.take(event)
        if isinstance(event, ThoughtPiece | AnswerPiece):
            self.figures.setText(self._live.line(event))
            self.composer.set_busy(replying=True, thinking=isinstance(event, ThoughtPiece))
        elif isinstance(event, End):
            self.figures.setText("Ready")

    def _finish(self, turn: Turn) -> None:
        if turn.error is not None:
            told = isinstance(turn.error, ThinkportError)
            self.transcript.fail(str(turn.error) if told else f"an error that nobody expected: {turn.error!r}")
            self.figures.setText("Ready")
            if self._reply is not None and self._reply.empty:
                self._reply.hide()
                self.composer.edit.setPlainText(self._asked)  # to be mended and sent again
        self._rest()
        self.composer.edit.setFocus()

    def _rest(self) -> None:
        self._turn = self._signals = self._reply = None
        self.composer.set_busy(replying=False, thinking=False)
