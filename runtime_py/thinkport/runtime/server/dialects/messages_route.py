"""Messages: `POST /v1/messages` and `/v1/messages/count_tokens` (https://platform.claude.com/docs/en/api/messages).

Agents speak it. Knows that interface's fields and blocks of content; must not know how a reply is sent.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_messages import chat_messages, content_text
from thinkport.runtime.server.dialects.messages_reply import MessagesReply
from thinkport.runtime.server.fields import read_body
from thinkport.runtime.server.reply_fields import ReplyFields, checked_stops, left_out, response_format_of
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.server.service import Service
from thinkport.runtime.server.settings import ServerSettings
from thinkport.runtime.server.thinking_fields import ThinkingFields
from thinkport.runtime.tools.toolbox import ToolChoice, ToolUse

_USES = {"auto": ToolUse.AUTO, "none": ToolUse.NONE, "any": ToolUse.REQUIRED, "tool": ToolUse.REQUIRED}
_FUNCTIONS = (None, "custom")  # types of tools that the client runs
_THOUGHTS = ("thinking", "redacted_thinking")


class MessagesRequest(ReplyFields, ThinkingFields):
    """A message, as Anthropic's interface has it."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    system: str | list[dict[str, Any]] | None = None
    stop_sequences: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    # About a provider's own machines: accepted, and without a meaning here.
    container: Any = None
    context_management: Any = None
    inference_geo: Any = None

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """See `ReplyFields.request`."""
        output = self.output_config or {}
        return replace(
            super().request(model, settings),
            messages=self.conversation(settings),
            tools=self.functions() or None,
            tool_choice=self._choice(),
            call=self.model_copy(update={"reasoning_effort": self.reasoning_effort or output.get("effort")}).asked(
                model.thinking, model.manifest.model.context_length, settings.width_of(model.replies.max_rows)
            ),
            max_tokens=self.max_tokens,
            response_format=response_format_of(output.get("format")),
        )

    def plan(self, model: Model, settings: ServerSettings) -> ReplyPlan:
        """See `ReplyFields.plan`."""
        plan = super().plan(model, settings)
        single = bool((self.tool_choice or {}).get("disable_parallel_tool_use"))
        notes = (*plan.notes, *left_out(self.tools or [], _FUNCTIONS))
        stops = checked_stops(self.stop_sequences or ())
        return replace(plan, stops=stops, single_call=single, include_usage=True, notes=notes)

    def conversation(self, settings: ServerSettings) -> list[dict[str, Any]]:
        """The messages for a template.

        Raises:
            ApiError: 400, a message or a block of another form.
        """
        lead = [{"role": "system", "content": content_text(self.system, "system")}] if self.system else []
        told = [one for at, message in enumerate(self.messages) for one in _told(message, f"messages.{at}")]
        return chat_messages([*lead, *told], settings.max_messages)

    def functions(self) -> list[dict[str, Any]]:
        """The tools that a model can call, as templates know them."""
        named = {"name": "name", "description": "description", "input_schema": "parameters"}
        return [
            {"type": "function", "function": {to: tool[of] for of, to in named.items() if tool.get(of) is not None}}
            for tool in self.tools or []
            if tool.get("type") in _FUNCTIONS
        ]

    def _choice(self) -> ToolChoice | str:
        if self.tool_choice is None:
            return "auto"
        kind, name = self.tool_choice.get("type"), self.tool_choice.get("name")
        if not isinstance(kind, str) or kind not in _USES or (kind == "tool") != isinstance(name, str):
            raise bad("tool_choice is none of: auto, any, none, or tool with the name of one", "tool_choice")
        return ToolChoice(use=_USES[kind], name=name)


class CountRequest(MessagesRequest):
    """Tokens of a prompt; what is about the reply has no meaning."""


async def messages(request: Request) -> Response:
    """Reply to messages."""
    service, body = Service.of(request), await read_body(request, MessagesRequest)
    plan, job = await service.begin("msg", body)
    prompt = len(plan.prepared.prompt.ids)
    return await service.answer(job, plan, MessagesReply(job.name, service.name, prompt_tokens=prompt))


async def count_tokens(request: Request) -> Response:
    """How many tokens a prompt has."""
    service, body = Service.of(request), await read_body(request, CountRequest)
    service.check_model(body.model)

    def counted() -> int:
        return len(service.model.replies.prepare(body.request(service.model, service.settings)).prompt.ids)

    return JSONResponse({"input_tokens": await asyncio.to_thread(counted)})


def _told(message: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """A message of blocks as messages: results of tools first, each of its own, then what was said."""
    content = message.get("content")
    if isinstance(content, str) or not isinstance(content, list):
        yield {"role": message.get("role"), "content": content}
        return
    said: dict[str, Any] = {"role": message.get("role"), "content": []}
    for at, block in enumerate(content):
        here = f"{where}.content.{at}"
        if not isinstance(block, Mapping):
            raise bad(f"{here} is no object", here)
        if block.get("type") == "tool_result":
            output = content_text(block.get("content"), f"{here}.content", empty=True)
            yield {"role": "tool", "tool_call_id": str(block.get("tool_use_id", "")), "content": output}
        else:
            _add(said, block, here)
    if said["content"] or len(said) > 2 or not content:
        yield said


def _add(said: dict[str, Any], block: Mapping[str, Any], where: str) -> None:
    kind = block.get("type")
    if kind in _THOUGHTS:
        said["reasoning_content"] = said.get("reasoning_content", "") + _text(block.get("thinking"), where)
    elif kind == "tool_use":
        function = {"name": block.get("name"), "arguments": block.get("input")}
        said.setdefault("tool_calls", []).append({"id": block.get("id"), "function": function})
    else:
        said["content"].append(block)  # text, or what `content_text` refuses by its name


def _text(thought: Any, where: str) -> str:
    if thought is not None and not isinstance(thought, str):
        raise bad(f"{where}.thinking is no text", where)
    return thought or ""
