"""The server's own description (https://spec.openapis.org/oas/v3.1.0), made of the bodies' models.

Knows paths, bodies and statuses; `app.py` says which function answers.
"""

from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from thinkport.runtime.server.chat_route import ChatRequest
from thinkport.runtime.server.completion_route import CompletionRequest
from thinkport.runtime.server.dialects.messages_route import CountRequest, MessagesRequest
from thinkport.runtime.server.dialects.ollama_route import OllamaRequest
from thinkport.runtime.server.model_routes import DetokenizeRequest, TokenizeRequest
from thinkport.runtime.server.responses_route import ResponsesRequest
from thinkport.runtime.server.search_routes import EmbeddingsRequest, RerankRequest

_REF = "#/components/schemas/{model}"
_BODIES: dict[str, tuple[type[BaseModel], str]] = {
    "/v1/chat/completions": (ChatRequest, "Reply to messages."),
    "/v1/completions": (CompletionRequest, "Go on where a prompt ends."),
    "/v1/responses": (ResponsesRequest, "Reply to items."),
    "/v1/messages": (MessagesRequest, "Reply to messages, as Anthropic's interface has it."),
    "/v1/messages/count_tokens": (CountRequest, "Tokens of such a prompt."),
    "/api/chat": (OllamaRequest, "Reply to messages, as Ollama's interface has it."),
    "/v1/embeddings": (EmbeddingsRequest, "Vectors of texts."),
    "/v1/rerank": (RerankRequest, "Scores of documents for a query."),
    "/tokenize": (TokenizeRequest, "Ids of a text or of messages."),
    "/detokenize": (DetokenizeRequest, "Text of ids."),
}
_READS = {
    "/v1/models": ("The one model that is served.", "application/json"),
    "/api/tags": ("The one model that is served, as Ollama has it.", "application/json"),
    "/api/version": ("The server's version, as Ollama has it.", "application/json"),
    "/health": ("Whether requests are taken, and on which provider they run.", "application/json"),
    "/metrics": ("Figures for Prometheus.", "text/plain"),
}
_STOPS = {
    "stop_thinking": "Close the thought of a reply that is being streamed.",
    "stop": "End a reply that is being streamed.",
}
_LINES = "/api/chat"
_STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
_ERROR = {
    "description": "What was wrong.",
    "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}},
}


class ErrorFields(BaseModel):
    """What `ApiError` tells."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """The body of an answer that is an error."""

    type: Literal["error"]
    error: ErrorFields


def openapi(*, key: bool) -> dict[str, Any]:
    """The document; `key` says whether clients have to send one."""
    kinds: list[type[BaseModel]] = [*(kind for kind, _ in _BODIES.values()), Error]
    _, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=_REF)
    paths: dict[str, Any] = {path: {"post": _post(path, kind, text)} for path, (kind, text) in _BODIES.items()}
    paths |= {path: {"get": _get(text, media)} for path, (text, media) in _READS.items()}
    paths["/v1/models/{model}"] = {"get": _get("The model of that name.", "application/json", "model")}
    paths |= {f"/v1/chat/completions/{{reply}}/{name}": {"post": _stop(text)} for name, text in _STOPS.items()}
    components: dict[str, Any] = {"schemas": schemas["$defs"]}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "thinkport", "version": version("thinkport")},
        "paths": paths,
        "components": components,
    }
    if key:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return document


def _errors(*statuses: int) -> dict[str, Any]:
    return {str(status): _ERROR for status in (*statuses, 401, 403, 405, 408, 413)}


def _post(path: str, kind: type[BaseModel], text: str) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if path in _STREAMED:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    if path == _LINES:
        content["application/x-ndjson"] = {"schema": {"type": "string"}}
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": _REF.format(model=kind.__name__)}}}}
    done = {"200": {"description": "Done.", "content": content}}
    return {"summary": text, "requestBody": body, "responses": done | _errors(400, 404, 429, 503)}


def _get(text: str, media: str, name: str | None = None) -> dict[str, Any]:
    schema = {"type": "object"} if media == "application/json" else {"type": "string"}
    found = {"200": {"description": text, "content": {media: {"schema": schema}}}}
    made: dict[str, Any] = {"summary": text, "responses": found | _errors(404, 503)}
    return made | {"parameters": [_parameter(name)]} if name else made


def _stop(text: str) -> dict[str, Any]:
    return {
        "summary": text,
        "parameters": [_parameter("reply")],
        "responses": {"204": {"description": "Done at its next token."}} | _errors(404),
    }


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
