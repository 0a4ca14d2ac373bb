"""The fields that several routes share, each beside what it asks of a reply.

A field is a line in the class of the routes that have it, and its meaning a line in that class's `request` (what one
reply is asked for) or `plan` (how many replies, and when they stop). Knows fields; must not know how a reply is sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_messages import function_tool
from thinkport.runtime.server.fields import RequestBody
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.server.settings import ServerSettings
from thinkport.runtime.server.thinking_fields import ThinkingFields
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat

_MOST_STOPS = 16
_FUNCTIONS = (None, "function")  # types of tools that the client runs
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repetition_penalty")


class StreamOptions(RequestBody):
    """What a stream holds beside the reply."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ReplyFields(RequestBody):
    """The fields of every route that writes replies. Sampling that is left out is the preset of the mode."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    seed: int | None = Field(None, ge=-(1 << 63), lt=1 << 63)
    # About a provider's accounts, storage and routing: accepted, and without a meaning here.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    verbosity: str | None = None

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """What one reply is asked for.

        Raises:
            ApiError: 400, a field that can't be met.
        """
        given = {name: value for name in _SAMPLING if (value := getattr(self, name)) is not None}
        if self.top_k == 0:
            given["top_k"] = None
        return ReplyRequest(sampling=given or None, seed=None if self.seed is None else self.seed % (1 << 64))

    def plan(self, model: Model, settings: ServerSettings) -> ReplyPlan:
        """What the whole body asks for.

        Raises:
            ApiError: 400, a field that can't be met.
            InputError: messages that the model's template refuses.
        """
        request = self.request(model, settings)
        asked, limit = request.max_tokens, settings.max_tokens
        notes = []
        if limit is not None and asked is not None and asked > limit:
            notes.append(f"max_tokens is {limit}, the most that this server gives, and not {asked}")
        usage = bool(self.stream_options and self.stream_options.include_usage)
        request = replace(request, max_tokens=min((n for n in (asked, limit) if n is not None), default=None))
        prepared = model.replies.prepare(request)
        return ReplyPlan(
            maker=model.replies, prepared=prepared, stream=bool(self.stream), include_usage=usage, notes=tuple(notes)
        )


def checked_stops(stops: Sequence[str]) -> tuple[str, ...]:
    """The texts that end an answer.

    Raises:
        ApiError: 400, too many, or an empty one.
    """
    if len(stops) > _MOST_STOPS or not all(stops):
        raise bad(f"stop has {len(stops)} texts, expected at most {_MOST_STOPS}, none of them empty", "stop")
    return tuple(stops)


class ChoiceFields(ReplyFields):
    """The fields of routes that may write several replies, each a choice."""

    n: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = Field(None, max_length=0, description="Not supported: leave it empty.")
    frequency_penalty: float | None = Field(
        None, ge=0, le=0, description="Not supported beside 0: use presence_penalty or repetition_penalty."
    )

    def plan(self, model: Model, settings: ServerSettings) -> ReplyPlan:
        """See `ReplyFields.plan`."""
        replies = self.n or 1
        if replies > settings.max_choices:
            raise bad(f"n is {replies}, expected at most {settings.max_choices}", "n")
        stops = checked_stops((self.stop,) if isinstance(self.stop, str) else self.stop or ())
        return replace(super().plan(model, settings), replies=replies, stops=stops)


def left_out(tools: Sequence[Mapping[str, Any]], taken: Sequence[str | None]) -> list[str]:
    """What a client is told of tools of other types than are `taken`, which its provider's own servers would run."""
    kinds = sorted({str(tool["type"]) for tool in tools if tool.get("type") not in taken})
    return [f"tools of type {kind[:40]!a} are left out, which run elsewhere" for kind in kinds]


class ConversationFields(ReplyFields, ThinkingFields):
    """The fields of routes that reply to a conversation: thinking and tools."""

    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """See `ReplyFields.request`."""
        return replace(
            super().request(model, settings),
            call=self.asked(
                model.thinking, model.manifest.model.context_length, settings.width_of(model.replies.max_rows)
            ),
            tools=[function_tool(tool, f"tools.{at}") for at, tool in self._functions()] or None,
            tool_choice=self.tool_choice or "auto",
        )

    def plan(self, model: Model, settings: ServerSettings) -> ReplyPlan:
        """See `ReplyFields.plan`."""
        plan = super().plan(model, settings)
        notes = (*plan.notes, *left_out(self.tools or [], _FUNCTIONS))
        return replace(plan, single_call=self.parallel_tool_calls is False, notes=notes)

    def _functions(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The tools that a model can call, by their numbers; clients send along those that their own servers run."""
        for at, tool in enumerate(self.tools or []):
            if tool.get("type") in _FUNCTIONS:
                yield at, tool


def response_format_of(field: Mapping[str, Any] | None) -> ResponseFormat | None:
    """What `response_format` holds an answer to: text, json_object (of a schema, if it has one), json_schema, regex or
    choice.

    Raises:
        ApiError: 400, another type, or one without what it needs.
    """
    kind = None if field is None else field.get("type")
    if field is None or kind == "text":
        return None
    if kind == "json_object":
        held = field.get("schema")
        if held is not None and not isinstance(held, Mapping):
            raise bad("response_format.schema is no object", "response_format")
        return JsonSchema(held or {"type": "object"})
    if kind == "json_schema":
        schema = field.get("json_schema", field)
        if isinstance(schema, Mapping) and isinstance(schema.get("schema"), Mapping):
            return JsonSchema(schema["schema"])
        raise bad("response_format has no json_schema.schema", "response_format")
    if kind == "regex" and isinstance(field.get("pattern"), str):
        return Regex(field["pattern"])
    if kind == "choice" and isinstance(field.get("choice"), list):
        return Choice(tuple(field["choice"]))
    raise bad(
        f"response_format is of type {str(kind)[:40]!r}, expected text, json_object, json_schema (with its schema), "
        "regex (with a pattern) or choice (with a list)",
        "response_format",
    )
