"""Text completions: `POST /v1/completions`."""

from collections.abc import Generator, Iterator, Sequence
from time import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.logprobs import LogprobRecorder, TokenLogprob
from thinkport.runtime.engine.sampling import Sampler
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import AnswerPiece, End, Event
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.detokenize import token_bytes
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.chat_plan import most_tokens, stops_of
from thinkport.runtime.server.completion_request import CompletionRequest
from thinkport.runtime.server.fields import read_body
from thinkport.runtime.server.figures import finish_reason, timings, usage
from thinkport.runtime.server.jobs import Piece, Plan
from thinkport.runtime.server.raw_reply import raw_reply
from thinkport.runtime.server.service import Service, data_frame
from thinkport.runtime.server.settings import ServerSettings
from thinkport.runtime.server.stop_strings import stopping

_TOKENS = 16  # OpenAI's default


async def completions(request: Request) -> Response:
    """Go on where a prompt ends."""
    service = Service.of(request)
    body = await read_body(request, CompletionRequest)
    service.check_model(body.model)
    if (body.n or 1) > service.settings.max_choices:
        raise bad(f"n is {body.n}, expected at most {service.settings.max_choices}", "n")
    job = await service.begin("cmpl", lambda: _plan(body, service.model, service.settings))
    reply = _Reply(job.name, service.name, service.model.tokenizer)
    echo = _text_of(body, service.model) if body.echo else ""
    if not body.stream:
        async for index, event in service.read(request, job):
            reply.add(index, event)
        return JSONResponse(reply.whole(echo, logprobs=body.logprobs is not None))

    def frames(piece: Piece) -> Iterator[str]:
        yield from map(data_frame, reply.chunks(piece.number, piece.event, echo))

    def last() -> Iterator[str]:
        if body.stream_options and body.stream_options.include_usage and reply.ends:
            yield data_frame(reply.chunk([]) | {"usage": usage(list(reply.ends.values()))})
        yield "data: [DONE]\n\n"

    return service.stream(job, frames, last)


def _plan(body: CompletionRequest, model: Model, settings: ServerSettings) -> Plan:
    prompt = body.prompt
    ids = _ids(prompt, model)
    stops = stops_of(body.stop)
    most = most_tokens(body.max_tokens or _TOKENS, settings)
    assert most is not None

    def begin(engine: Engine, index: int, stop: Stop) -> Generator[Event]:
        recorder = None if body.logprobs is None else LogprobRecorder(body.logprobs)
        sampler = Sampler(
            model.sampling(body.sampling(), thinks=False),
            seed=None if body.seed is None else body.seed + index,
            watch=recorder.record if recorder else None,
        )
        tokens = engine.generate(
            ids, sampler, stop_ids=model.manifest.stop_ids, max_tokens=most, drafts=model.replies.drafts, stop=stop
        )
        return stopping(raw_reply(tokens, len(ids), model.tokenizer, recorder), stop, stops)

    return Plan(ids, begin, body.n or 1)


def _ids(prompt: str | list[int] | list[str], model: Model) -> list[int]:
    if isinstance(prompt, str):
        return model.tokenizer.encode(prompt)
    if all(isinstance(one, int) for one in prompt):
        return [one for one in prompt if isinstance(one, int)]
    if len(prompt) == 1 and isinstance(prompt[0], str):
        return model.tokenizer.encode(prompt[0])
    raise bad(f"prompt is a list of {len(prompt)} texts, expected one: send a request for each", "prompt")


def _text_of(body: CompletionRequest, model: Model) -> str:
    return body.prompt if isinstance(body.prompt, str) else model.tokenizer.decode(_ids(body.prompt, model))


class _Reply:
    """The completion as JSON."""

    def __init__(self, name: str, model: str, tokenizer: Tokenizer):
        self.ends: dict[int, End] = {}
        self._head = {"id": name, "object": "text_completion", "created": int(time()), "model": model}
        self._tokenizer = tokenizer
        self._noted: dict[int, list[TokenLogprob]] = {}
        self._begun: set[int] = set()

    def add(self, index: int, event: Event) -> None:
        if isinstance(event, End):
            self.ends[index] = event
        elif isinstance(event, AnswerPiece):
            self._noted.setdefault(index, []).extend(event.logprobs)

    def chunks(self, index: int, event: Event, echo: str) -> list[dict[str, Any]]:
        lead = "" if index in self._begun else echo
        self._begun.add(index)
        if isinstance(event, End):
            self.ends[index] = event
            choice = {"index": index, "text": lead, "logprobs": None, "finish_reason": finish_reason(event)}
            return [self.chunk([choice]) | {"timings": timings(event)}]
        assert isinstance(event, AnswerPiece)
        noted = self._logprobs(event.logprobs) if event.logprobs else None
        choice = {"index": index, "text": lead + event.text, "logprobs": noted, "finish_reason": None}
        return [self.chunk([choice])]

    def chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "choices": choices}

    def whole(self, echo: str, *, logprobs: bool) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "text": echo + end.answer,
                "logprobs": self._logprobs(self._noted.get(index, [])) if logprobs else None,
                "finish_reason": finish_reason(end),
            }
            for index, end in sorted(self.ends.items())
        ]
        ends = list(self.ends.values())
        return self.chunk(choices) | {"usage": usage(ends), "timings": timings(ends[0])}

    def _logprobs(self, noted: Sequence[TokenLogprob]) -> dict[str, Any]:
        return {
            "tokens": [self._spelled(one.id) for one in noted],
            "token_logprobs": [max(one.logprob, -9999.0) for one in noted],
            "top_logprobs": [{self._spelled(token): value for token, value in one.top} for one in noted],
            "text_offset": [],
        }

    def _spelled(self, token: int) -> str:
        return token_bytes(self._tokenizer.token(token) or "").decode("utf-8", "replace")
