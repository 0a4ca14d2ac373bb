"""What `thinkport generate` and `thinkport chat` do.

`generate` writes one reply to stdout and its figures to stderr. `chat` takes lines and writes replies, until `/exit`,
Ctrl-D or the end of a pipe.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.style import Style
from rich.text import Text

from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.errors import InputError, ThinkportError
from thinkport.runtime.events import Event, ThoughtPiece, ThoughtsProgress
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.commands import answer_line
from thinkport.runtime.terminal.conversation import Conversation, provider_of
from thinkport.runtime.terminal.figures import figures, turn_parts
from thinkport.runtime.terminal.interrupts import INTERRUPTED, Press, interrupting, pressing
from thinkport.runtime.terminal.lines import Lines, lines_for, without_echo
from thinkport.runtime.terminal.markdown_view import THEME
from thinkport.runtime.terminal.parted_lines import DOT, broken
from thinkport.runtime.terminal.plain_reply import show_plain
from thinkport.runtime.terminal.reply_screen import ReplyScreen
from thinkport.runtime.terminal.warning_lines import tidy_warnings
from thinkport.runtime.thinking.thinking import Thinking

_DIM, _RED = Style(dim=True), Style(color="red")


def run_generate(
    artifact: Path,
    prompt: str,
    *,
    running: dict[str, Any],
    system: str | None,
    thinking: Thinking,
    tools: list[dict[str, Any]] | None,
    as_json: bool,
    hide_thought: bool,
    **options: Any,
) -> None:
    """Load, answer, and write the reply; Ctrl-C ends it and keeps what came. `running` goes to `Model.load`,
    `options` to the reply.

    The thought goes to the terminal before the answer, or to stderr where stdout is a pipe: that gets the answer alone.
    """
    with tidy_warnings(), Model.load(artifact, **running) as model:
        chat = model.chat(system=system, thinking=thinking, tools=tools, settle=False)
        events = chat.stream(prompt, **options)
        with interrupting(chat.cancel):
            if as_json:
                end = events.end()
                sys.stdout.write(json.dumps(end.as_json(), ensure_ascii=False, indent=2) + "\n")
            else:
                out = Console(highlight=False, markup=False, emoji=False)
                notes = Console(stderr=True, highlight=False, markup=False, emoji=False)
                end = show_plain(events, out, None if hide_thought else out if out.is_terminal else notes)
                notes.print(figures(end), style="dim", soft_wrap=True)
    if end.answer_end is Finish.CANCELLED:
        raise typer.Exit(INTERRUPTED)


def run_chat(
    artifact: Path,
    *,
    running: dict[str, Any],
    system: str | None,
    thinking: Thinking,
    unfolded: bool,
    plain: bool,
    history: bool,
    **options: Any,
) -> None:
    """Load an artifact and talk; `running` goes to `Model.load`, `options` to every reply."""
    with tidy_warnings(), Model.load(artifact, **running) as model:
        conversation = Conversation(
            model=model,
            chat=model.chat(system=system, thinking=thinking),
            provider=provider_of(model),
            options=options,
            unfolded=unfolded,
        )
        ChatProgram(conversation, plain=plain).run(lines_for(conversation, history=history))


class ChatProgram:
    """The loop between the prompt and the replies."""

    def __init__(self, conversation: Conversation, *, plain: bool = False):
        """`plain` shows replies as text and not as Markdown, as a pipe and a dumb terminal get them anyway."""
        self._conversation = conversation
        self._out = Console(highlight=False, markup=False, emoji=False, theme=THEME)
        self._notes = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._plain = plain or not self._out.is_terminal or self._out.is_dumb_terminal
        self._typed = sys.stdin.isatty()
        self._thought_open = False

    def run(self, lines: Lines) -> None:
        """Answer line after line.

        Raises:
            InputError: at the end of a pipe of which not every line was answered.
        """
        conversation, failed = self._conversation, False
        if self._typed:
            named = f"{conversation.model.manifest.name} on {conversation.provider}"
            self._note(DOT.join([named, conversation.context, "/help for commands and keys, Ctrl-D leaves"]), _DIM)
        edit = ""
        while (line := lines.read(edit)) is not None:
            edit = ""
            if not line.strip():
                continue
            try:
                result = answer_line(conversation, line)
                if result.reply is not None:
                    self._reply(result.reply)
            except (ThinkportError, OSError) as error:  # the next line may well be answered
                failed = True
                self._note(_told(error), _RED)
                continue
            if result.leaves:
                break
            edit = result.edit
            self._note(result.notice, _DIM)
        if failed and not self._typed:
            raise InputError("not every line was answered; the reasons stand above")

    def _reply(self, events: Iterator[Event]) -> None:
        conversation = self._conversation
        with without_echo(), pressing(self._pressed, lambda: self._thought_open) as presses:
            watched = self._watched(events)
            if self._plain:
                end = show_plain(watched, self._out, self._out if self._out.is_terminal else self._notes)
            else:
                thinking, unfolded = conversation.chat.thinking, conversation.unfolded
                screen = ReplyScreen(self._out, thinking=thinking, unfolded=unfolded, pressed=lambda: presses.last)
                end = screen.show(watched)
        conversation.finish(end)
        parts = [*turn_parts(end), conversation.context]
        # One line in a file; as many as it takes on a terminal, set apart from the answer.
        self._note("\n" + broken(parts, self._notes.width) if self._notes.is_terminal else DOT.join(parts), _DIM)

    def _watched(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events, while the program notes whether a thought is open."""
        for event in events:
            self._thought_open = isinstance(event, ThoughtPiece | ThoughtsProgress)
            yield event
        self._thought_open = False

    def _pressed(self, press: Press) -> None:
        if press is Press.STOP_THINKING:
            self._conversation.chat.stop_thinking()
        else:
            self._conversation.chat.cancel()

    def _note(self, text: str, style: Style) -> None:
        """On stderr, so that stdout has replies only; a blank line sets it apart on a terminal."""
        if text:
            self._notes.print(Text(text, style=style), soft_wrap=not self._notes.is_terminal)
            if self._typed:
                self._notes.print()


def _told(error: ThinkportError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return str(error)
