"""From a chat completion's body to a plan: what is to be written, and under which conditions.

Knows the body's fields and the model's options; must not know how a reply is sent.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import Event
from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_messages import chat_messages
from thinkport.runtime.server.chat_request import ChatRequest
from thinkport.runtime.server.jobs import Plan
from thinkport.runtime.server.settings import ServerSettings
from thinkport.runtime.server.stop_strings import stopping
from thinkport.runtime.server.thinking_fields import thinking_of
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat

_MOST_STOPS = 16


@dataclass(frozen=True, kw_only=True)
class ChatPlan:
    """What a request asks for. `stops` end the answer; `single_call` ends it after its first tool call."""

    request: ReplyRequest
    replies: int = 1
    stops: tuple[str, ...] = ()
    single_call: bool = False
    stream: bool = False
    include_usage: bool = False

    @classmethod
    def of(cls, body: ChatRequest, model: Model, settings: ServerSettings) -> "ChatPlan":
        """The plan of a body.

        Raises:
            ApiError: 400, a field that can't be met.
        """
        thinking = thinking_of(body.thinking_fields(), model.thinking, model.session.context_length)
        replies = body.n or 1
        if replies > settings.max_choices:
            raise bad(f"n is {replies}, expected at most {settings.max_choices}", "n")
        if body.top_logprobs is not None and not body.logprobs:
            raise bad("top_logprobs asks for what logprobs switches on: set logprobs to true", "top_logprobs")
        request = ReplyRequest(
            messages=chat_messages(body.messages, settings.max_messages),
            tools=body.tools or None,
            tool_choice=body.tool_choice or "auto",
            response_format=response_format_of(body.response_format),
            call=thinking,
            max_tokens=most_tokens(body.max_completion_tokens or body.max_tokens, settings),
            sampling=body.sampling() or None,
            seed=body.seed,
            logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        )
        return cls(
            request=request,
            replies=replies,
            stops=stops_of(body.stop),
            single_call=body.parallel_tool_calls is False,
            stream=bool(body.stream),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
        )

    def job(self, model: Model) -> Plan:
        """How it is written, and the prompt that it begins with.

        Raises:
            InputError: messages that the model's template refuses.
        """
        prepared = model.replies.prepare(self.request)

        def begin(engine: Engine, index: int, stop: Stop) -> Generator[Event]:
            reply = model.replies.begin(prepared, engine, number=index, stop=stop)
            return stopping(reply, stop, self.stops, single_call=self.single_call)

        return Plan(prepared.prompt.ids, begin, self.replies)


def stops_of(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """The stop strings of a field.

    Raises:
        ApiError: 400, an empty one or too many.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > _MOST_STOPS or not all(stops):
        raise bad(f"stop has {len(stops)} texts, expected at most {_MOST_STOPS}, none of them empty", "stop")
    return stops


def most_tokens(asked: int | None, settings: ServerSettings) -> int | None:
    """The most tokens of a reply.

    Raises:
        ApiError: 400, more than the server allows.
    """
    limit = settings.max_tokens
    if limit is not None and asked is not None and asked > limit:
        raise bad(f"max_tokens is {asked}, and this server gives at most {limit}", "max_tokens")
    return limit if asked is None else asked


def response_format_of(field: Mapping[str, Any] | None) -> ResponseFormat | None:
    """What `response_format` holds an answer to: text, json_object, json_schema, regex or choice.

    Raises:
        ApiError: 400, another type, or one without what it needs.
    """
    kind = None if field is None else field.get("type")
    if field is None or kind == "text":
        return None
    if kind == "json_object":
        return JsonSchema({"type": "object"})
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
