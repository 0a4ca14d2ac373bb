"""Written fakes: a model and its chats that say what a test gives them, as slowly as it likes."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtEnd, ThoughtPiece
from thinkport.runtime.terminal.conversation import Conversation
from thinkport.runtime.terminal.markdown_view import THEME
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, Thinking, ThinkingEnd


def end_of(thought: str = "", answer: str = "", **changes: Any) -> End:
    """An end whose counts are the words of its texts."""
    fields: dict[str, Any] = {
        "thought": thought,
        "answer": answer,
        "thinking_end": ThinkingEnd.NATURAL if thought else ThinkingEnd.OFF,
        "answer_end": Finish.STOP,
        "enabled": Switch.ON if thought else Switch.OFF,
        "decided_by": DecidedBy.CHAT,
        "prompt_tokens": 9,
        "cached_tokens": 4,
        "forced_tokens": 0,
        "prefill": Speed(tokens=5, seconds=0.5),
        "thinking": Speed(tokens=len(thought.split()), seconds=1.0 if thought else 0.0),
        "answering": Speed(tokens=len(answer.split()), seconds=1.0 if answer else 0.0),
    }
    return End(**(fields | changes))


def thought_end(reason: ThinkingEnd, tokens: int = 1) -> ThoughtEnd:
    return ThoughtEnd(reason=reason, thinking=Speed(tokens=tokens, seconds=1.0))


@dataclass(kw_only=True)
class Script:
    """A reply: words at a speed, None for at once; `on_piece` is called before each event with its number."""

    thought: str = ""
    answer: str = ""
    per_second: float | None = None
    prefill: float = 0.0
    on_piece: Callable[[int], None] = lambda number: None


def words(text: str) -> list[str]:
    """Pieces that begin with their blank, as a tokenizer's do."""
    pieces: list[str] = []
    for letter in text:
        if not pieces or (letter.isspace() and not pieces[-1].isspace()):
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces


class FakeChat:
    """A chat that says its model's scripts in turn, closes thoughts and cancels as the real one does."""

    def __init__(self, model: "FakeModel", *, system: str | None = None, thinking: Thinking | None = None, tools=None):
        self.messages: list[dict[str, Any]] = []
        self.system, self.thinking, self.tools = system, thinking or Thinking(), tools
        self.model = model
        self.asked: list[dict[str, Any]] = []
        self.stopped = self.cancelled = False

    def stream(self, text: str, **options: Any) -> Iterator[Event]:
        self.asked.append({"text": text, **options})
        if text == "refuse this":
            raise InputError("the prompt has 9 tokens, the model's context is 8")
        return self._events(text)

    def retry(self, **options: Any) -> Iterator[Event]:
        text = self.undo()
        if text is None:
            raise InputError("there is nothing to reply to again: say something first")
        return self.stream(text, **options)

    def undo(self) -> str | None:
        if len(self.messages) < 2:
            return None
        text: str = self.messages[-2]["content"]
        del self.messages[-2:]
        return text

    def stop_thinking(self) -> None:
        self.stopped = True

    def cancel(self) -> None:
        self.cancelled = True

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.messages), encoding="utf-8")

    def _events(self, text: str) -> Iterator[Event]:
        script = self.model.next_script()
        self.stopped = self.cancelled = False
        time.sleep(script.prefill)
        thought, end, number = "", ThinkingEnd.OFF, 0
        pieces = words(script.thought) if self.thinking.enabled is not Switch.OFF else []
        for count, piece in enumerate(pieces, 1):
            script.on_piece(number := number + 1)
            if self.cancelled:
                break
            budget = self.thinking.budget
            if self.stopped or (budget is not None and count > budget):
                yield ThoughtPiece(text=self.thinking.message, forced=True, tokens=count - 1)
                end = ThinkingEnd.USER if self.stopped else ThinkingEnd.BUDGET
                break
            self._wait(script)
            thought += piece
            yield ThoughtPiece(text=piece, tokens=count)
            end = ThinkingEnd.NATURAL
        if self.cancelled and thought:
            end = ThinkingEnd.CANCELLED
        if pieces:
            yield thought_end(end, len(thought.split()))
        answer = ""
        for count, piece in enumerate([] if self.cancelled else words(script.answer), 1):
            script.on_piece(number := number + 1)
            if self.cancelled:
                break
            self._wait(script)
            answer += piece
            yield AnswerPiece(text=piece, tokens=count)
        self.messages += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
        finish = Finish.CANCELLED if self.cancelled else Finish.STOP
        yield end_of(thought, answer, thinking_end=end, answer_end=finish)

    @staticmethod
    def _wait(script: Script) -> None:
        if script.per_second:
            time.sleep(1 / script.per_second)


FAKE_MANIFEST = SimpleNamespace(name="fake-int4", model=SimpleNamespace(context_length=4096))


def checked_width(width: int) -> int:
    """As `ReplyMaker.checked_width`, of a model whose steps hold eight rows."""
    if width > 8:
        raise InputError(f"width is {width}, expected at most 8")
    return width


@dataclass
class FakeModel:
    """A model of scripts, the last of which it goes on repeating; a token of its context is a letter."""

    scripts: list[Script]
    chats: list[FakeChat] = field(default_factory=list)
    session: Any = field(default_factory=lambda: SimpleNamespace(device="cpu"))
    manifest: Any = field(default_factory=lambda: FAKE_MANIFEST)
    said: int = 0
    provider_report: Any = None
    refreshed: bool = False
    replies: Any = field(default_factory=lambda: SimpleNamespace(checked_width=checked_width))

    def refresh(self) -> bool:
        return self.refreshed

    def chat(self, **settings: Any) -> FakeChat:
        self.chats.append(FakeChat(self, **settings))
        return self.chats[-1]

    def restore(self, path: Path) -> FakeChat:
        chat = self.chat()
        chat.messages = json.loads(path.read_text(encoding="utf-8"))
        return chat

    def encode(self, messages: list[dict[str, Any]], tools: Any = None) -> list[int]:
        return [0] * sum(len(message["content"]) for message in messages)

    def next_script(self) -> Script:
        self.said += 1
        return self.scripts[min(self.said, len(self.scripts)) - 1]


def talk(*scripts: Script, **settings: Any) -> Conversation:
    """A conversation with a fake model."""
    model: Any = FakeModel(list(scripts) or [Script(answer="yes")])
    return Conversation(model=model, chat=model.chat(), provider="cpu", **settings)


def new_console(width: int = 80, height: int = 24, *, terminal: bool = True, **options: Any) -> Console:
    """A console over a text that is read back with `console.file.getvalue()`."""
    fixed: dict[str, Any] = {
        "force_terminal": terminal,
        "color_system": "standard" if terminal else None,
        "_environ": {},
    }
    return Console(
        file=StringIO(newline=""),
        width=width,
        height=height,
        highlight=False,
        markup=False,
        emoji=False,
        theme=THEME,
        **(fixed | options),
    )


@pytest.fixture(scope="session", name="end_of")
def _end_of():
    return end_of


@pytest.fixture(scope="session", name="thought_end")
def _thought_end():
    return thought_end


@pytest.fixture(scope="session", name="script")
def _script():
    return Script


@pytest.fixture(scope="session", name="talk")
def _talk():
    return talk


@pytest.fixture(scope="session", name="new_console")
def _new_console():
    return new_console
