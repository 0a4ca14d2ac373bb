"""The tools that a reply may call: checked when the box is made, held against the calls that come, and chosen among.

Knows tools as OpenAI's interface and transformers describe them. Must not know how a call is sampled or told from text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from thinkport.runtime.errors import InputError, did_you_mean
from thinkport.runtime.events import ToolCall
from thinkport.runtime.tools.tool_calls import read_call, shown
from thinkport.runtime.tools.tool_schema import ToolSchema


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool's name and the JSON schema of its arguments."""

    name: str
    schema: ToolSchema

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The schema, of an object."""
        return self.schema.parameters


class ToolBox:
    """The tools of a reply by their names, in the order given."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]):
        """Take `tools`, each `{"type": "function", "function": {name, description, parameters}}` or the function alone.

        A function without parameters takes none.

        Raises:
            InputError: a tool of another shape, without a name or with a name given before, or whose parameters are
                no JSON schema of an object.
        """
        if isinstance(tools, Mapping | str) or not isinstance(tools, Sequence):
            raise InputError(f"the tools are {type(tools).__name__}, expected a list of tools")
        self.tools: dict[str, Tool] = {}
        for at, description in enumerate(tools):
            tool = _tool(description, at)
            if tool.name in self.tools:
                raise InputError(f"two tools are named {tool.name!r}, expected a name for each: rename one")
            self.tools[tool.name] = tool

    def __bool__(self) -> bool:
        """Whether there is any tool."""
        return bool(self.tools)

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names."""
        return tuple(self.tools)

    def parse(self, text: str) -> ToolCall:
        """The call that the model wrote between the tags; whatever is wrong with it is its `problem`."""
        call = read_call(text)
        return replace(call, problem=call.problem or self._problem(call))

    def _problem(self, call: ToolCall) -> str | None:
        tool = self.tools.get(call.name)
        if tool is None:
            return f"there is no tool {shown(call.name)!r}{did_you_mean(call.name, self.names)}"
        return tool.schema.violation(call.arguments)


def _tool(description: Mapping[str, Any], at: int) -> Tool:
    function = description.get("function", description) if isinstance(description, Mapping) else None
    if not isinstance(function, Mapping):
        raise InputError(f"tool {at} is {shown(repr(description))}, expected a mapping with name and parameters")
    name = function.get("name")
    # Templates write a name between quotes as it is, so it has to be its own JSON.
    if not isinstance(name, str) or not name or json.dumps(name, ensure_ascii=False) != f'"{name}"':
        raise InputError(f"tool {at} has the name {name!r}, expected a text without quotes, backslashes and line ends")
    return Tool(name=name, schema=ToolSchema(name, function.get("parameters")))


class ToolUse(StrEnum):
    """auto: the model decides. none: no call. required: at least one call, and nothing but calls."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, kw_only=True)
class ToolChoice:
    """How a reply uses its tools; `name` is the only tool that may be called, None leaves all of them."""

    use: ToolUse = ToolUse.AUTO
    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and self.use is not ToolUse.REQUIRED:
            raise InputError(f"tool_choice names {self.name!r} and is {self.use}, expected required with a name")

    @staticmethod
    def of(choice: "str | Mapping[str, Any] | ToolChoice", names: Sequence[str]) -> "ToolChoice":
        """The choice that a caller means, among tools with these `names`.

        `auto`, `none`, `required`, a tool's name, or a tool as OpenAI's interface names one:
        `{"type": "function", "function": {"name": ...}}`, which also reaches a tool named like one of those words.

        Raises:
            InputError: nothing of these, an unknown tool, or a call is required and there are no tools.
        """
        made = choice if isinstance(choice, ToolChoice) else ToolChoice._read(choice, names)
        if made.use is ToolUse.REQUIRED and not names:
            raise InputError("tool_choice requires a call and there are no tools: give tools, or leave it at auto")
        if made.name is not None and made.name not in names:
            raise InputError(f"tool_choice names an unknown tool {made.name!r}{did_you_mean(made.name, names)}")
        return made

    @staticmethod
    def _read(choice: str | Mapping[str, Any], names: Sequence[str]) -> "ToolChoice":
        if isinstance(choice, Mapping):
            function = choice.get("function", choice)
            name = function.get("name") if isinstance(function, Mapping) else None
            if isinstance(name, str):
                return ToolChoice(use=ToolUse.REQUIRED, name=name)
        elif choice in list(ToolUse):
            return ToolChoice(use=ToolUse(choice))
        elif isinstance(choice, str):
            if choice not in names:
                words = [*(use.value for use in ToolUse), *names]
                raise InputError(f"tool_choice is {choice!r}{did_you_mean(choice, words)}")
            return ToolChoice(use=ToolUse.REQUIRED, name=choice)
        raise InputError(f"tool_choice is {choice!r}, expected auto, none, required or a tool's name")
