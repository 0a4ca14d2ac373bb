"""Vectors and scores: `POST /v1/embeddings` (https://platform.openai.com/docs/api-reference/embeddings/create) and
`POST /v1/rerank` (https://jina.ai/reranker, https://docs.cohere.com/reference/rerank, and llama-server's and vLLM's).
"""

import asyncio
import base64
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal
from uuid import uuid4

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.artifact.task_check import required_embedding, required_reranking
from thinkport.runtime.prompt.prompt import Prompt
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.fields import Ids, RequestBody, read_body
from thinkport.runtime.server.service import Service
from thinkport.runtime.text_embedding import EmbeddedText, checked_dimensions, embedding_prompts, rounded, vectors_of
from thinkport.runtime.text_ranking import ranking_prompts, scores_of

_MOST = 2048  # texts of a request, as OpenAI has it


class EmbeddingsRequest(RequestBody):
    """Vectors of texts, each of length 1."""

    input: str | Ids | list[str] | list[Ids] = Field(description="A text, its ids, or a list of one of them.")
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, description="The first ones only, of length 1 again.")
    instruction: str | None = Field(None, description="The texts are queries for this task; documents if not given.")
    user: str | None = None

    def texts(self) -> Sequence[EmbeddedText]:
        """The texts, as texts or as ids."""
        if isinstance(self.input, str):
            return [self.input]
        ids = [one for one in self.input if isinstance(one, int)]
        return [ids] if ids else [one for one in self.input if not isinstance(one, int)]


class RerankDocument(RequestBody):
    """A document as an object."""

    text: str


class RerankRequest(RequestBody):
    """Scores of documents for a query."""

    query: str
    documents: list[str | RerankDocument] = Field(max_length=_MOST)
    model: str | None = None
    top_n: int | None = Field(None, ge=1, description="The best ones only.")
    return_documents: bool | None = None
    instruction: str | None = Field(None, description="What is sought; the checkpoint's own if not given.")

    def texts(self) -> list[str]:
        """The documents' texts."""
        return [one if isinstance(one, str) else one.text for one in self.documents]


async def embeddings(request: Request) -> Response:
    """Vectors of texts."""
    service, body = Service.of(request), await read_body(request, EmbeddingsRequest)
    service.check_model(body.model)
    model = service.model
    context = model.manifest.model.context_length - 1

    def prepared() -> tuple[list[Prompt], int]:
        embedding = required_embedding(model.manifest)
        asked = _few(body.texts()), body.instruction
        prompts = embedding_prompts(model.tokenizer, embedding, *asked, context=context, truncate=False)
        return prompts, checked_dimensions(body.dimensions, embedding)

    prompts, width = await asyncio.to_thread(prepared)
    vectors = await service.jobs.run(prompts[0].ids, lambda engine, stop: vectors_of(engine, prompts, width, stop))
    if body.encoding_format == "base64":
        found: Sequence[Any] = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    else:
        found = rounded(vectors)
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(found)]
    return JSONResponse({"object": "list", "data": data, "model": service.name, "usage": _usage(prompts)})


async def rerank(request: Request) -> Response:
    """Scores of documents, the best first."""
    service, body = Service.of(request), await read_body(request, RerankRequest)
    service.check_model(body.model)
    model, texts = service.model, body.texts()
    context = model.manifest.model.context_length - 1
    reranking = required_reranking(model.manifest)
    asked = body.query, texts, body.instruction
    encode = partial(ranking_prompts, model.tokenizer, reranking, *asked, context=context, truncate=False)
    prompts = await asyncio.to_thread(encode)
    run = partial(scores_of, reranking=reranking, prompts=prompts)
    scores = await service.jobs.run(prompts[0].ids, lambda engine, stop: run(engine, stop=stop))
    results = [
        {"index": at, "relevance_score": scores[at]}
        | ({"document": {"text": texts[at]}} if body.return_documents else {})
        for at in sorted(range(len(scores)), key=lambda at: -scores[at])
    ]
    name = f"rerank-{uuid4().hex}"
    return JSONResponse({"id": name, "model": service.name, "results": results[: body.top_n], "usage": _usage(prompts)})


def _few(texts: Sequence[EmbeddedText]) -> Sequence[EmbeddedText]:
    if len(texts) > _MOST:
        raise bad(f"input is a list of {len(texts)} texts, expected at most {_MOST}", "input")
    return texts


def _usage(prompts: Sequence[Prompt]) -> dict[str, int]:
    tokens = sum(len(prompt.ids) for prompt in prompts)
    return {"prompt_tokens": tokens, "total_tokens": tokens}
