"""What is served and how it does, and its text to ids and back, as vLLM and llama-server have it."""

import asyncio
from time import time
from typing import Any

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.server.api_error import ApiError, bad
from thinkport.runtime.server.chat_messages import chat_messages
from thinkport.runtime.server.fields import Ids, RequestBody, read_body
from thinkport.runtime.server.service import Service
from thinkport.runtime.thinking.thinking_switch import decide


class TokenizeRequest(RequestBody):
    """Exactly one of `prompt` (vLLM's name), `content` (llama-server's) and `messages`."""

    prompt: str | None = None
    content: str | None = None
    messages: list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    enable_thinking: bool | None = None
    parse_special: bool | None = Field(None, description="Whether a spelled marker is that token; true if not given.")
    model: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "TokenizeRequest":
        if sum(value is not None for value in (self.prompt, self.content, self.messages)) != 1:
            raise ValueError("expected exactly one of prompt, content and messages")
        return self


class DetokenizeRequest(RequestBody):
    """Ids to be spelled."""

    tokens: Ids
    model: str | None = None


async def tokenize(request: Request) -> Response:
    """The ids of a text or of messages."""
    service, body = Service.of(request), await read_body(request, TokenizeRequest)
    service.check_model(body.model)
    model = service.model

    def ids() -> list[int]:
        if body.messages is not None:
            messages = chat_messages(body.messages, service.settings.max_messages)
            return model.encode(messages, body.tools, body.enable_thinking)
        text = body.prompt if body.prompt is not None else body.content or ""
        return model.tokenizer.encode_plain(text) if body.parse_special is False else model.tokenizer.encode(text)

    tokens = await asyncio.to_thread(ids)
    context = model.manifest.model.context_length
    return JSONResponse({"tokens": tokens, "count": len(tokens), "max_model_len": context})


async def detokenize(request: Request) -> Response:
    """The text of ids."""
    service, body = Service.of(request), await read_body(request, DetokenizeRequest)
    service.check_model(body.model)
    limit = service.model.manifest.model.vocab_size
    if wrong := next((token for token in body.tokens if token >= limit), None):
        raise bad(f"tokens has {wrong}, expected ids below {limit}", "tokens")
    text = await asyncio.to_thread(service.model.tokenizer.decode, body.tokens)
    return JSONResponse({"prompt": text, "content": text})


_STARTED = int(time())


async def models(request: Request) -> Response:
    """The one model there is."""
    return JSONResponse({"object": "list", "data": [_model(Service.of(request))]})


async def model(request: Request) -> Response:
    """The model, by its name."""
    service = Service.of(request)
    if request.path_params["model"] != service.name:
        raise ApiError(404, f"no such model is served here, expected {service.name!r}")
    return JSONResponse(_model(service))


async def health(request: Request) -> Response:
    """Whether requests are taken, on which provider they run and why, and how replies think unless told otherwise.

    A model that was unloaded since nobody asked it anything is not `loaded`, and is again at the next request.
    """
    service = Service.of(request)
    places, report = service.jobs.places, service.model.provider_report
    loaded = service.model.loaded
    ready = not places.closed and (loaded or places.asleep or service.model.stale)
    state = {
        "status": "ok" if ready else "ending",
        "model": service.name,
        "provider": report.as_json(),
        "active": places.active,
        "max_rows": places.max_rows,
        "waiting": places.waiting,
        "wait_seconds": places.wait_seconds,
        "loaded": loaded,
        "context": service.model.manifest.model.context_length if ready else None,
        "task": service.model.manifest.task,
        "can_think": service.model.manifest.thinking is not None,
        "thinking": _thinking(service),
        "sampling": service.model.manifest.sampling.model_dump(),
        "key_needed": service.settings.api_key is not None,
    }
    return JSONResponse(state, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(Service.of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _thinking(service: Service) -> dict[str, Any]:
    """How a reply thinks whose request doesn't say."""
    default = service.model.thinking
    decided = decide([], None, None, default, service.model.manifest.enable_thinking)
    several = {"width": default.width, "choose": default.choose.value, "quorum": default.quorum}
    several |= {"most_width": service.settings.width_of(service.model.replies.max_rows)}
    return {"enabled": decided.enabled.value, "budget": default.budget, **several}


def _model(service: Service) -> dict[str, Any]:
    return {
        "id": service.name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "thinkport",
        "max_model_len": service.model.manifest.model.context_length,
    }
