"""Messages to a prompt, by the artifact's own chat template.

Gives byte for byte the text of transformers' `apply_chat_template(tokenize=False)`; templates come from strangers and
run in a sandbox with a budget, on plain JSON data. Knows Jinja and messages; must not know ids.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from thinkport.runtime.artifact.strangers_file import read_strangers
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.prompt.guarded_environment import GuardedEnvironment
from thinkport.runtime.prompt.marking import Marked, Marks
from thinkport.runtime.prompt.messages import check_roles
from thinkport.runtime.prompt.render_budget import RenderBudget, limited, weight

Message = Mapping[str, Any]

_REASONING = ("reasoning_content", "thinking", "reasoning")  # a thought's names; templates read the first

_REPLY = "What was said in reply."  # a text that no template writes by itself

_LONGEST = 1 << 18  # letters of a template; the longest published ones have some 20,000
# What a template's code may raise.
_REFUSALS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
_LONGEST_FORM = 1000  # letters of a message or a date's form that a template gives


class ChatTemplate:
    """A compiled chat template."""

    def __init__(self, source: str, special_tokens: Mapping[str, str]):
        """Compile `source`; `special_tokens` are the variables such as `eos_token`.

        Raises:
            ArtifactError: the template's syntax is wrong, or it is larger than any template needs to be.
        """
        if len(source) > _LONGEST:
            raise ArtifactError(
                f"the chat template has {len(source)} letters, expected at most {_LONGEST}: export another checkpoint"
            )
        self._special_tokens, self.source = dict(special_tokens), source
        self.has_switch = "enable_thinking" in source  # and so a model that was taught /think and /no_think
        self.knows_thoughts = self.has_switch or "<think>" in source or "</think>" in source
        try:
            with limited(RenderBudget(len(source))):
                self._template = _environment().from_string(source)
        except (TemplateError, SyntaxError, *_REFUSALS) as error:  # the latter are Python's, of Jinja's code
            raise ArtifactError(f"the chat template can't be compiled ({error}): export the artifact again") from error

    @classmethod
    def from_file(cls, path: Path, special_tokens: Mapping[str, str]) -> "ChatTemplate":
        """Read and compile a `chat_template.jinja`.

        Raises:
            ArtifactError: it is missing, not UTF-8, or its syntax is wrong.
        """
        try:
            return cls(read_strangers(path).decode(), special_tokens)  # bytes, since text would lose CRLF
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} can't be read ({error}): export the artifact again") from error
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error}") from error

    @cached_property
    def reply_header(self) -> str:
        """What begins a reply's turn and holds no thought yet; empty if this template can't tell."""
        asked = [{"role": "user", "content": "a"}]
        without, with_header = (self._rendered(asked, add_generation_prompt=add) for add in (False, True))
        told = without and with_header.startswith(without)
        return with_header.removeprefix(without).split("<think>")[0] if told else ""

    @cached_property
    def user_header(self) -> str:
        """What begins each of a user's turns; empty if this template can't tell."""
        first = [{"role": "user", "content": "<1>"}]
        later = [*first, {"role": "assistant", "content": "<2>"}, {"role": "user", "content": "<3>"}]
        before_first = self._rendered(first).partition("<1>")[0]
        before_later = self._rendered(later).rpartition("<3>")[0].rpartition("<2>")[2]
        letters = zip(reversed(before_first), reversed(before_later), strict=False)
        size = next((at for at, (a, b) in enumerate(letters) if a != b), min(len(before_first), len(before_later)))
        return before_first[len(before_first) - size :]

    @cached_property
    def after_reply(self) -> str:
        """What stands between a reply's text and the next turn, without the white space before it.

        Empty if this template can't tell.
        """
        asked = {"role": "user", "content": "a"}
        turns = self._rendered([asked, {"role": "assistant", "content": _REPLY}, asked], add_generation_prompt=False)
        return turns.partition(_REPLY)[2].lstrip()

    def _rendered(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt's text, empty where the template refuses the messages."""
        try:
            return self.render(messages, add_generation_prompt=add_generation_prompt)
        except InputError:
            return ""

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        enable_thinking: bool | None = None,
        add_generation_prompt: bool = True,
        marks: Marks | None = None,
    ) -> str:
        """The prompt's text; `enable_thinking` None leaves the choice to the template.

        `marks` are those of messages and tools that are marked.

        Raises:
            InputError: there are no messages, one is malformed, or the template refuses them.
        """
        variables: dict[str, Any] = dict(self._special_tokens)
        if enable_thinking is not None:
            variables["enable_thinking"] = enable_thinking
        try:
            given = {"messages": normalize(messages), "tools": None if tools is None else plain_data(list(tools))}
            with limited(RenderBudget(*weight(given), keep=marks.keep if marks else None)):
                return self._template.render(
                    **given, documents=None, add_generation_prompt=add_generation_prompt, **variables
                )
        except (TemplateError, *_REFUSALS) as error:
            raise InputError(f"the chat template refuses these messages: {error}") from error


def normalize(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as a template sees them: plain data, nothing that is None, a thought under its usual names."""
    check_roles(messages)
    plain = []
    for message in messages:
        kept = plain_data({key: value for key, value in message.items() if value is not None})
        thought = next((kept[key] for key in _REASONING if key in kept), None)
        plain.append(kept if thought is None else {"thinking": thought, **kept, "reasoning_content": thought})
    return plain


def plain_data(value: Any) -> Any:
    """A copy made of JSON's types, so that a template meets no object with methods of its own.

    Raises:
        InputError: something else is in there.
    """
    if isinstance(value, Mapping):
        return {_plain_scalar(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    """Text, a number or None, without what a subclass (an enum, say) adds; marked text stays marked."""
    if value is None or type(value) in (str, int, float, bool, Marked):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise InputError(f"a message holds a {type(value).__name__}, expected text, numbers, lists and mappings only")


class _Generation(Extension):
    """`{% generation %}`, which marks the assistant's part for training; here it renders what is inside."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def _environment() -> GuardedEnvironment:
    environment = GuardedEnvironment(
        filters={"tojson": _tojson},
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, "jinja2.ext.loopcontrols"],
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form[:_LONGEST_FORM])
    return environment


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """As transformers has it: Jinja's own filter would escape HTML's characters."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(str(message)[:_LONGEST_FORM])
