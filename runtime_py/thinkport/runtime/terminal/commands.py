"""The commands of a chat: one table, from which lines are read, completed and explained."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from inspect import getdoc

from thinkport.runtime.errors import InputError
from thinkport.runtime.terminal import actions
from thinkport.runtime.terminal.actions import Outcome
from thinkport.runtime.terminal.conversation import Conversation

Action = Callable[[Conversation, str], Outcome]


class Takes(Enum):
    """What may follow a command. MESSAGE: what follows makes the line a message, whose soft switch it is."""

    NOTHING = "nothing"
    MESSAGE = "message"
    MAYBE = "maybe"
    SOMETHING = "something"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command: `argument` is how help calls what follows its name; the action's docstring is its help."""

    name: str
    action: Action
    takes: Takes = Takes.NOTHING
    argument: str = ""
    is_path: bool = False

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.argument}".rstrip()


def show_help(conversation: Conversation, argument: str) -> Outcome:
    """Show this."""
    width = max(len(command.usage) for command in COMMANDS)
    lines = [f"{command.usage:{width}}  {getdoc(command.action)}" for command in COMMANDS]
    return Outcome(notice="\n".join([*lines, f"{'//…':{width}}  A message that begins with a slash."]))


COMMANDS = (
    Command(name="think", action=actions.think, takes=Takes.MESSAGE),
    Command(name="no_think", action=actions.no_think, takes=Takes.MESSAGE),
    Command(name="auto", action=actions.auto),
    Command(name="budget", action=actions.budget, takes=Takes.MAYBE, argument="[N|off]"),
    Command(name="system", action=actions.system, takes=Takes.MAYBE, argument="[TEXT|off]"),
    Command(name="retry", action=actions.retry),
    Command(name="undo", action=actions.undo),
    Command(name="save", action=actions.save, takes=Takes.SOMETHING, argument="FILE", is_path=True),
    Command(name="load", action=actions.load, takes=Takes.SOMETHING, argument="FILE", is_path=True),
    Command(name="stats", action=actions.stats),
    Command(name="thought", action=actions.thought, takes=Takes.MAYBE, argument="[show|fold]"),
    Command(name="new", action=actions.new),
    Command(name="help", action=show_help),
    Command(name="exit", action=actions.leave),
)
_BY_NAME = {command.name: command for command in COMMANDS}


def answer_line(conversation: Conversation, line: str) -> Outcome:
    """What a line leads to: a command's outcome, or the reply to a message.

    Raises:
        InputError: an unknown command or a wrong argument; nothing was sent.
    """
    text = line.strip()
    if not text.startswith("/"):
        return Outcome(reply=conversation.say(line))
    if text.startswith("//"):
        return Outcome(reply=conversation.say(text[1:]))
    name, argument = _parts(text)
    command = _named(name)
    if command.takes is Takes.MESSAGE and argument:
        return Outcome(reply=conversation.say(line))
    if command.takes is Takes.NOTHING and argument:
        raise InputError(f"/{command.name} takes nothing after it, found {argument!r}")
    if command.takes is Takes.SOMETHING and not argument:
        raise InputError(f"/{command.name} needs something after it: {command.usage}")
    return command.action(conversation, argument)


def _parts(text: str) -> tuple[str, str]:
    name, *argument = re.split(r"\s+", text[1:], maxsplit=1)
    return name, argument[0] if argument else ""


def _named(name: str) -> Command:
    """The command of a name; `/no-think` is `/no_think` too."""
    found = _BY_NAME.get(name.lower().replace("-", "_"))
    if found:
        return found
    close = get_close_matches(name.lower(), _BY_NAME, n=1)
    hint = f"did you mean /{close[0]}?" if close else "/help shows them all."
    raise InputError(f"unknown command /{name}: {hint} To say it to the model, begin with two slashes.")
