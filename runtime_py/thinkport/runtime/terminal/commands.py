"""The commands of a chat: what each does, and one table from which lines are read, completed and explained.

An action takes the conversation and its argument; it raises `InputError` for an argument that it can't take.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import getdoc
from pathlib import Path

from thinkport.runtime.errors import InputError
from thinkport.runtime.events import Event, OtherThought
from thinkport.runtime.terminal.controls import harmless
from thinkport.runtime.terminal.conversation import Conversation
from thinkport.runtime.terminal.figures import totals
from thinkport.runtime.terminal.option_values import OFF
from thinkport.runtime.terminal.parted_lines import DOT
from thinkport.runtime.thinking.thinking import Choose, Switch

_FILE = "FILE"
_NUMBER = re.compile(r"[0-9]{1,9}")
KEYS = (
    ("Enter", "Send."),
    ("Alt-Enter, \\ Enter", "Begin another line."),
    ("Up, Down", "Go through what was typed before."),
    ("Tab", "Complete a command, or a path after it."),
    ("Ctrl-C", "End the thought, so that the answer comes; once more the reply, once more the program."),
    ("Ctrl-D", "Leave."),
)


@dataclass(frozen=True, kw_only=True)
class LineResult:
    """What a line at the prompt leads to: a notice, a reply, a text to edit at the next prompt, or the end."""

    notice: str = ""
    reply: Iterator[Event] | None = None
    edit: str = ""
    leaves: bool = False


Action = Callable[[Conversation, str], LineResult]


@dataclass(frozen=True)
class Command:
    """A command; the action's docstring is its help.

    `argument` is how help calls what follows the name, in brackets where it may be left out. `switches`: what follows
    makes the line a message, whose soft switch the command is.
    """

    name: str
    action: Action
    argument: str = ""
    switches: bool = False

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()

    @property
    def is_path(self) -> bool:
        """Whether a path follows."""
        return self.argument == _FILE


def think(conversation: Conversation, argument: str) -> LineResult:
    """Think before every answer."""
    return _switch(conversation, Switch.ON)


def no_think(conversation: Conversation, argument: str) -> LineResult:
    """Answer at once."""
    return _switch(conversation, Switch.OFF)


def auto(conversation: Conversation, argument: str) -> LineResult:
    """Leave thinking to the template, the model and the message."""
    return _switch(conversation, Switch.AUTO)


def budget(conversation: Conversation, argument: str) -> LineResult:
    """Limit the thoughts to N tokens; `off` for no limit."""
    if argument and argument != OFF and not _NUMBER.fullmatch(argument):
        raise InputError(f"/budget takes a number of tokens or {OFF}, not {argument[:40]!r}")
    if argument:
        conversation.think(budget=None if argument == OFF else int(argument))
    limit = conversation.chat.thinking.budget
    return LineResult(notice="no thinking budget" if limit is None else f"thinking budget {limit} tokens")


def width(conversation: Conversation, argument: str) -> LineResult:
    """Write N thoughts at the same time; the first to end answers, or with `vote` the answer of most is taken."""
    number, _, how = argument.partition(" ")
    if argument and (not _NUMBER.fullmatch(number) or how not in ("", *Choose)):
        raise InputError(
            f"/width takes a number of thoughts, and {' or '.join(Choose)} after it, not {argument[:40]!r}"
        )
    if argument:
        wanted = conversation.model.replies.checked_width(int(number))
        conversation.think(width=wanted, choose=how or Choose.FIRST, quorum=None)
    thinking = conversation.chat.thinking
    if thinking.width == 1:
        return LineResult(notice="one thought at a time")
    return LineResult(notice=f"{thinking.width} thoughts at a time, {thinking.choose}")


def system(conversation: Conversation, argument: str) -> LineResult:
    """Set the system message; `off` takes it out; alone, it is shown."""
    if argument:
        conversation.chat.system = None if argument == OFF else argument
        conversation.count()
    text = conversation.chat.system
    return LineResult(notice="no system message" if text is None else f"system message: {harmless(text)}")


def retry(conversation: Conversation, argument: str) -> LineResult:
    """Answer the last message again."""
    return LineResult(reply=conversation.retry())


def undo(conversation: Conversation, argument: str) -> LineResult:
    """Take the last message and its reply back; the message can be edited."""
    text = conversation.chat.undo()
    if text is None:
        return LineResult(notice="nothing to take back")
    conversation.last = None
    conversation.count()
    return LineResult(notice=f"took back: {harmless(text)}", edit=text)


def save(conversation: Conversation, argument: str) -> LineResult:
    """Save the chat."""
    path = _path(argument)
    conversation.chat.save(path)
    return LineResult(notice=f"saved to {path}")


def load(conversation: Conversation, argument: str) -> LineResult:
    """Go on with a saved chat."""
    path = _path(argument)
    conversation.load(path)
    count = len(conversation.chat.messages)
    return LineResult(notice=f"loaded {count} message{'' if count == 1 else 's'} from {path} · {conversation.context}")


def stats(conversation: Conversation, argument: str) -> LineResult:
    """Show the figures of all turns."""
    return LineResult(notice="\n".join([*totals(conversation.ends), conversation.context]))


def thought(conversation: Conversation, argument: str) -> LineResult:
    """Show the last thought, or the `others`; `show` leaves thoughts standing from now on, `fold` folds them."""
    if argument in ("show", "fold"):
        conversation.unfolded = argument == "show"
        return LineResult(notice="thoughts stay" if conversation.unfolded else "thoughts fold to a line")
    if argument == "others":
        parallel = conversation.last.parallel if conversation.last else None
        shown = [_other(number, one) for number, one in enumerate(parallel.others if parallel else (), 1)]
        return LineResult(notice="\n\n".join(shown) or "the last reply has no other thoughts")
    if argument:
        raise InputError(f"/thought takes show, fold or others, not {argument!r}")
    text = conversation.last.thought.strip("\n") if conversation.last else ""
    return LineResult(notice=harmless(text) or "the last reply has no thought")


def new(conversation: Conversation, argument: str) -> LineResult:
    """Begin a new chat with the same settings."""
    conversation.begin()
    return LineResult(notice="a new chat")


def leave(conversation: Conversation, argument: str) -> LineResult:
    """Leave; so does Ctrl-D."""
    return LineResult(leaves=True)


def show_help(conversation: Conversation, argument: str) -> LineResult:
    """Show this."""
    commands = [(command.usage, getdoc(command.action)) for command in COMMANDS]
    rows = [*commands, ("//…", "A message that begins with a slash."), *KEYS]
    width = max(len(name) for name, _ in rows)
    return LineResult(notice="\n".join(f"{name:{width}}  {text}" for name, text in rows))


COMMANDS = (
    Command("think", think, switches=True),
    Command("no_think", no_think, switches=True),
    Command("auto", auto),
    Command("budget", budget, f"[N|{OFF}]"),
    Command("width", width, "[N [first|vote]]"),
    Command("system", system, f"[TEXT|{OFF}]"),
    Command("retry", retry),
    Command("undo", undo),
    Command("save", save, _FILE),
    Command("load", load, _FILE),
    Command("stats", stats),
    Command("thought", thought, "[show|fold|others]"),
    Command("new", new),
    Command("help", show_help),
    Command("exit", leave),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def answer_line(conversation: Conversation, line: str) -> LineResult:
    """What a line leads to: a command's result, or the reply to a message.

    Raises:
        InputError: an unknown command or a wrong argument; nothing was sent.
    """
    text = line.strip()
    if not text.startswith("/"):
        return LineResult(reply=conversation.say(line))
    if text.startswith("//"):
        return LineResult(reply=conversation.say(text[1:]))
    name, argument = [*re.split(r"\s+", text[1:], maxsplit=1), ""][:2]
    command = _named(name)
    if command.switches and argument:
        return LineResult(reply=conversation.say(line))
    if argument and not command.argument:
        raise InputError(f"/{command.name} takes nothing after it, found {argument!r}")
    if command.argument and not command.argument.startswith("[") and not argument:
        raise InputError(f"/{command.name} needs something after it: {command.usage}")
    return command.action(conversation, argument)


def _named(name: str) -> Command:
    """The command of a name; `/no-think` is `/no_think` too."""
    found = _BY_NAME.get(name.lower().replace("-", "_"))
    if found:
        return found
    close = get_close_matches(name.lower(), _BY_NAME, n=1)
    hint = f"did you mean /{close[0]}?" if close else "/help shows them all."
    raise InputError(f"unknown command /{name}: {hint} To say it to the model, begin with two slashes.")


def _other(number: int, other: OtherThought) -> str:
    """A thought that was not chosen."""
    answered = [] if other.answer is None else [f"answered {harmless(other.answer.strip())}"]
    tokens = f"{other.tokens} tokens{' with its answer' if answered else ''}"
    head = [f"thought {number}", tokens, other.end.value if other.end else "stopped", *answered]
    return "\n".join([DOT.join(head), harmless(other.thought)])


def _switch(conversation: Conversation, enabled: Switch) -> LineResult:
    conversation.think(enabled=enabled)
    return LineResult(notice=f"thinking {enabled}")


def _path(argument: str) -> Path:
    """A path as it is typed: quotes around it and a tilde at its start are the shell's habits."""
    quoted = len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\""
    return Path(argument[1:-1] if quoted else argument).expanduser()
