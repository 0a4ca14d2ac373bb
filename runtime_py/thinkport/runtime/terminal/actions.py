"""What the commands of a chat do. Each takes the conversation and its argument, and gives an outcome.

Raises `InputError` for an argument that it can't take.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thinkport.runtime.errors import InputError
from thinkport.runtime.events import Event
from thinkport.runtime.terminal.controls import harmless
from thinkport.runtime.terminal.conversation import Conversation
from thinkport.runtime.thinking.thinking import Switch

OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a line at the prompt leads to: a notice, a reply, a text to edit at the next prompt, or the end."""

    notice: str = ""
    reply: Iterator[Event] | None = None
    edit: str = ""
    leaves: bool = False


def think(conversation: Conversation, argument: str) -> Outcome:
    """Think before every answer."""
    return _switch(conversation, Switch.ON)


def no_think(conversation: Conversation, argument: str) -> Outcome:
    """Answer at once."""
    return _switch(conversation, Switch.OFF)


def auto(conversation: Conversation, argument: str) -> Outcome:
    """Leave thinking to the template, the model and the message."""
    return _switch(conversation, Switch.AUTO)


def budget(conversation: Conversation, argument: str) -> Outcome:
    """Limit the thoughts to N tokens; `off` for no limit."""
    if argument:
        conversation.think(budget=None if argument == OFF else _tokens(argument))
    limit = conversation.thinking.budget
    return Outcome(notice="no thinking budget" if limit is None else f"thinking budget {limit} tokens")


def system(conversation: Conversation, argument: str) -> Outcome:
    """Set the system message; `off` takes it out; alone, it is shown."""
    if argument:
        conversation.chat.system = None if argument == OFF else argument
        conversation.count()
    text = conversation.chat.system
    return Outcome(notice="no system message" if text is None else f"system message: {harmless(text)}")


def retry(conversation: Conversation, argument: str) -> Outcome:
    """Answer the last message again."""
    return Outcome(reply=conversation.retry())


def undo(conversation: Conversation, argument: str) -> Outcome:
    """Take the last message and its reply back; the message can be edited."""
    text = conversation.chat.undo()
    if text is None:
        return Outcome(notice="nothing to take back")
    conversation.last = None
    conversation.count()
    return Outcome(notice=f"took back: {harmless(text)}", edit=text)


def save(conversation: Conversation, argument: str) -> Outcome:
    """Save the chat."""
    path = _path(argument)
    conversation.chat.save(path)
    return Outcome(notice=f"saved to {path}")


def load(conversation: Conversation, argument: str) -> Outcome:
    """Go on with a saved chat."""
    path = _path(argument)
    conversation.load(path)
    count = len(conversation.chat.messages)
    return Outcome(notice=f"loaded {count} message{'' if count == 1 else 's'} from {path} · {conversation.context}")


def stats(conversation: Conversation, argument: str) -> Outcome:
    """Show the figures of all turns."""
    return Outcome(notice="\n".join([*conversation.totals.lines(), conversation.context]))


def thought(conversation: Conversation, argument: str) -> Outcome:
    """Show the last thought; `show` leaves thoughts standing from now on, `fold` folds them to a line."""
    if argument in ("show", "fold"):
        conversation.unfolded = argument == "show"
        return Outcome(notice="thoughts stay" if conversation.unfolded else "thoughts fold to a line")
    if argument:
        raise InputError(f"/thought takes show or fold, not {argument!r}")
    text = conversation.last.thought.strip("\n") if conversation.last else ""
    return Outcome(notice=harmless(text) or "the last reply has no thought")


def new(conversation: Conversation, argument: str) -> Outcome:
    """Begin a new chat with the same settings."""
    conversation.begin()
    return Outcome(notice="a new chat")


def leave(conversation: Conversation, argument: str) -> Outcome:
    """Leave; so does Ctrl-D."""
    return Outcome(leaves=True)


def _switch(conversation: Conversation, enabled: Switch) -> Outcome:
    conversation.think(enabled=enabled)
    return Outcome(notice=f"thinking {enabled}")


def _tokens(argument: str) -> int:
    if not argument.isdecimal():
        raise InputError(f"/budget takes a number of tokens or {OFF}, not {argument!r}")
    return int(argument)


def _path(argument: str) -> Path:
    """A path as it is typed: quotes around it and a tilde at its start are the shell's habits."""
    quoted = len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\""
    return Path(argument[1:-1] if quoted else argument).expanduser()
