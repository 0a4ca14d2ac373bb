"""What a request says about thinking, under whatever name its client uses.

No field is ignored: two fields that contradict each other are an error, and so is a value out of range.
Knows the names of other servers (vLLM, SGLang, llama-server, LM Studio, Ollama, OpenRouter); must not know routes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import Field

from thinkport.runtime.errors import InputError
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.fields import RequestBody
from thinkport.runtime.thinking.thinking import Choose, Switch, Thinking

# Tokens of thought. Qwen3 was trained for on and off only; where these come from is in the documentation.
EFFORTS: dict[str, int | None] = {"minimal": 128, "low": 512, "medium": 2048, "high": 8192, "xhigh": None, "max": None}
_NONE = ("none", "off")
_SEVERAL = {"thinking_width": "width", "thinking_choose": "choose", "thinking_quorum": "quorum"}
BUDGETS = ("thinking_token_budget", "thinking_budget_tokens", "thinking_budget", "reasoning_budget")


class ThinkingFields(RequestBody):
    """How a reply may think, in the words of several servers, in the order in which they are read."""

    thinking_token_budget: int | None = None
    thinking_budget_tokens: int | None = None
    thinking_budget: int | None = None
    reasoning_budget: int | None = None
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | str | bool | None = None
    thinking: dict[str, Any] | bool | None = None
    think: bool | str | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    thinking_width: int | None = Field(None, ge=1, description="Thoughts at the same time, of which one answers.")
    thinking_choose: str | None = Field(None, description="Which of them: first (to end), or vote.")
    thinking_quorum: int | None = Field(None, ge=1, description="Thoughts that vote; all where it is not given.")

    def asked(self, default: Thinking, context: int, most: int) -> Thinking:
        """The settings of the reply; see `asked_thinking`."""
        fields = {name: getattr(self, name) for name in ThinkingFields.model_fields}
        return asked_thinking(fields, default, context, most)


class _Said(NamedTuple):
    """What one field says, None for nothing. `exact`: the budget is a number of tokens and no effort's."""

    field: str
    on: bool | None = None
    budget: int | None = None
    exact: bool = False


def asked_thinking(fields: Mapping[str, Any], default: Thinking, context: int, most: int) -> Thinking:
    """The settings of a reply, of at most so many thoughts; `default`, the model's, gives what the fields leave out.

    An effort sets a budget; an exact budget replaces it.

    Raises:
        ApiError: 400, a value out of range or two fields that contradict each other.
    """
    said = [
        one
        for field in ThinkingFields.model_fields
        if fields.get(field) is not None and field not in _SEVERAL
        for one in _read(field, fields[field], context)
    ]
    on = _agreed([one for one in said if one.on is not None], "on")
    exact = [one for one in said if one.exact]
    budget = _agreed(exact or [one for one in said if one.on and one.budget is not None], "budget")
    if on is False and budget:
        off = next(one.field for one in said if one.on is False)
        raise bad(f"{off} switches thinking off and {exact[0].field} gives it {budget} tokens: leave one out", off)
    settings = default if on is None else replace(default, enabled=Switch.ON if on else Switch.OFF)
    unlimited = on and not exact and any(one.on and one.budget is None and "effort" in one.field for one in said)
    settings = replace(settings, budget=budget) if budget is not None or unlimited else settings
    return _with_width(settings, fields, most)


def _with_width(settings: Thinking, fields: Mapping[str, Any], most: int) -> Thinking:
    """The settings with what the fields say of several thoughts, which replaces all that the default says of them."""
    several = {name: fields[field] for field, name in _SEVERAL.items() if fields.get(field) is not None}
    if not several:
        return settings
    if "width" not in several:
        raise bad("thinking_choose and thinking_quorum are for several thoughts: give thinking_width", "thinking_width")
    if settings.enabled is Switch.OFF and several["width"] > 1:
        raise bad(f"thinking is off and thinking_width asks for {several['width']} thoughts", "thinking_width")
    if several["width"] > most:
        told = f"thinking_width is {several['width']}, expected at most {most}, the replies that share a step here"
        raise bad(told, "thinking_width")
    try:
        return replace(settings, **{"choose": Choose.FIRST, "quorum": None, **several})
    except InputError as error:
        told = f"thinking_{error}"  # which begins with the setting's name
        raise bad(told, told.split()[0]) from None


def _agreed(said: list[_Said], what: str) -> Any:
    values = {getattr(one, what) for one in said}
    if len(values) > 1:
        names = " and ".join(sorted({one.field for one in said}))
        raise bad(f"{names} contradict each other about thinking: leave all but one out", said[0].field)
    return values.pop() if values else None


def _read(field: str, value: Any, context: int) -> Iterator[_Said]:
    if field in BUDGETS:
        yield _Said(field, budget=_budget(field, value, context), exact=True)
    elif field == "reasoning_effort":
        yield _effort(field, value)
    elif field == "chat_template_kwargs":
        yield from _kwargs(value)
    elif field == "reasoning" and isinstance(value, Mapping):
        yield from _reasoning(value, context)
    elif field == "thinking" and isinstance(value, Mapping):
        yield from _typed(value, context)
    elif isinstance(value, bool):
        yield _Said(field, on=value)
    elif field != "enable_thinking" and value in ("on", "off"):
        yield _Said(field, on=value == "on")
    elif field != "enable_thinking":
        yield _effort(f"{field} effort", value)
    else:
        raise bad(f"enable_thinking is {_shown(value)}, expected true or false", field)


def _effort(field: str, value: Any) -> _Said:
    if value in _NONE:
        return _Said(field, on=False)
    if not isinstance(value, str) or value not in EFFORTS:
        name = field.removesuffix(" effort")
        switch = "true, false, " if name != field else ""
        raise bad(f"{name} is {_shown(value)}, expected one of: {switch}{', '.join((*_NONE, *EFFORTS))}", name)
    return _Said(field, on=True, budget=EFFORTS[value])


def _budget(field: str, value: Any, context: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= context:
        raise bad(f"{field} is {_shown(value)}, expected a number of tokens from 0 to {context}, the context", field)
    return value


def _kwargs(value: Any) -> Iterator[_Said]:
    name = "chat_template_kwargs"
    if not isinstance(value, Mapping):
        raise bad(f"{name} is {_shown(value)}, expected an object", name)
    if unknown := sorted(set(value) - {"enable_thinking"}):
        raise bad(f"{name} has {', '.join(map(str, unknown))}, expected enable_thinking only", name)
    asked = value.get("enable_thinking")
    if asked is not None and not isinstance(asked, bool):
        raise bad(f"{name}.enable_thinking is {_shown(asked)}, expected true or false", name)
    if asked is not None:
        yield _Said(f"{name}.enable_thinking", on=asked)


def _reasoning(value: Mapping[str, Any], context: int) -> Iterator[_Said]:
    known = {"effort", "max_tokens", "enabled", "summary", "generate_summary"}  # the text of thoughts is given anyway
    if unknown := sorted(set(value) - known):
        raise bad(f"reasoning has {', '.join(unknown)}, expected effort, max_tokens or enabled", "reasoning")
    if value.get("effort") is not None:
        yield _effort("reasoning.effort", value["effort"])
    if value.get("max_tokens") is not None:
        budget = _budget("reasoning.max_tokens", value["max_tokens"], context)
        yield _Said("reasoning.max_tokens", budget=budget, exact=True)
    if value.get("enabled") is not None:
        if not isinstance(value["enabled"], bool):
            raise bad(f"reasoning.enabled is {_shown(value['enabled'])}, expected true or false", "reasoning")
        yield _Said("reasoning.enabled", on=value["enabled"])


def _typed(value: Mapping[str, Any], context: int) -> Iterator[_Said]:
    """Anthropic's form: `{"type": "enabled", "budget_tokens": …}`; adaptive leaves it to the model."""
    kind = value.get("type")
    if unknown := sorted(set(value) - {"type", "budget_tokens", "display"}):
        raise bad(f"thinking has {', '.join(unknown)}, expected type and budget_tokens", "thinking")
    if kind not in ("enabled", "disabled", "adaptive", "auto"):
        raise bad(f"thinking.type is {_shown(kind)}, expected enabled, disabled, adaptive or auto", "thinking")
    if kind in ("enabled", "disabled"):
        yield _Said("thinking.type", on=kind == "enabled")
    if value.get("budget_tokens") is not None:
        budget = _budget("thinking.budget_tokens", value["budget_tokens"], context)
        yield _Said("thinking.budget_tokens", budget=budget, exact=True)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
