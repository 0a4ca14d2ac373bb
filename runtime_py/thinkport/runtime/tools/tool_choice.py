"""Whether a reply may, must or must not call tools, and which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from thinkport.runtime.errors import InputError
from thinkport.runtime.tools.toolbox import did_you_mean


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
