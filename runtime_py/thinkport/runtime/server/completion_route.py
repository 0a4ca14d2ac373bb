"""Text completions: `POST /v1/completions` (https://platform.openai.com/docs/api-reference/completions/create)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from math import isnan
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from thinkport.runtime.engine.generation import TokenLogprob
from thinkport.runtime.events import AnswerPiece, End, Event
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.api_error import bad
from thinkport.runtime.server.choices import Choices
from thinkport.runtime.server.fields import Ids, read_body
from thinkport.runtime.server.figures import finish_reason, timings
from thinkport.runtime.server.reply_fields import ChoiceFields
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.server.service import Service
from thinkport.runtime.server.settings import ServerSettings

_TOKENS = 16  # OpenAI's default


class CompletionRequest(ChoiceFields):
    """A text completion: the model goes on where the prompt ends, with no template around it."""

    prompt: str | Ids | list[str] | list[Ids] = Field(description="A text, its ids, or a list of one of them.")
    max_tokens: int | None = Field(None, ge=1, description="16 if not given, as OpenAI has it.")
    echo: bool | None = Field(None, description="The prompt comes before the reply; with `logprobs`, so do its tokens.")
    logprobs: int | None = Field(None, ge=0, le=20, description="How many likeliest tokens at each place.")
    best_of: int | None = Field(None, ge=1, le=1, description="Not supported beside 1.")
    suffix: str | None = Field(None, max_length=0, description="Not supported: leave it out.")

    def request(self, model: Model, settings: ServerSettings) -> ReplyRequest:
        """See `ReplyFields.request`."""
        most, request = self.max_tokens or _TOKENS, super().request(model, settings)
        return replace(request, text=self.text(), max_tokens=most, logprobs=self.logprobs)

    def text(self) -> str | list[int]:
        """The prompt, as a text or as ids.

        Raises:
            ApiError: 400, several texts.
        """
        if isinstance(self.prompt, str):
            return self.prompt
        prompts = [one for one in self.prompt if not isinstance(one, int)]
        if len(prompts) > 1:
            raise bad(f"prompt is a list of {len(prompts)} texts, expected one: send a request for each", "prompt")
        return prompts[0] if prompts else [one for one in self.prompt if isinstance(one, int)]

    def plan(self, model: Model, settings: ServerSettings) -> ReplyPlan:
        """See `ReplyFields.plan`."""
        return replace(super().plan(model, settings), echoed_logprobs=self.logprobs if self.echo else None)


async def completions(request: Request) -> Response:
    """Go on where a prompt ends."""
    service, body = Service.of(request), await read_body(request, CompletionRequest)
    plan, job = await service.begin("cmpl", body)
    tokenizer, text = service.model.tokenizer, body.text() if body.echo else ""
    echo = text if isinstance(text, str) else tokenizer.decode(text)
    reply = CompletionReply(job.name, service.name, tokenizer, echo=echo, logprobs=body.logprobs is not None)
    return await service.answer(job, plan, reply)


class CompletionReply(Choices):
    """The replies of a text completion."""

    whole_kind = chunk_kind = "text_completion"

    def __init__(self, name: str, model: str, tokenizer: Tokenizer, *, echo: str, logprobs: bool):
        """`echo` comes before every reply."""
        super().__init__(name, model, tokenizer, logprobs=logprobs)
        self._echo = echo

    def choice(self, index: int, end: End, noted: Sequence[TokenLogprob] | None) -> dict[str, Any]:
        """See `Choices`."""
        return _choice(index, self._echo + end.answer, self._logprobs(noted), finish_reason(end))

    def contents(self, index: int, event: Event, *, first: bool) -> Iterator[dict[str, Any]]:
        """See `Choices`."""
        lead = self._echo if first else ""
        if isinstance(event, End):
            yield {"choices": [_choice(index, lead, None, finish_reason(event))], "timings": timings(event)}
        elif isinstance(event, AnswerPiece):
            logprobs = self._logprobs(event.logprobs or None, whole=False)
            yield {"choices": [_choice(index, lead + event.text, logprobs, None)]}

    def _logprobs(self, noted: Sequence[TokenLogprob] | None, *, whole: bool = True) -> dict[str, Any] | None:
        if noted is None:
            return None
        return {
            "tokens": [self._text(one.id) for one in noted],
            "token_logprobs": [None if isnan(one.logprob) else max(one.logprob, -9999.0) for one in noted],
            "top_logprobs": [
                None if isnan(one.logprob) else {self._text(token): value for token, value in one.top} for one in noted
            ],
            "text_offset": self._offsets(noted) if whole else [],  # a chunk does not know what came before
        }

    def _offsets(self, noted: Sequence[TokenLogprob]) -> list[int]:
        """Where each token's text begins in the choice's, in characters; one within a character counts behind it."""
        lengths = [sum(byte & 0xC0 != 0x80 for byte in self.spelled(one.id)) for one in noted]
        return [*accumulate(lengths, initial=0)][: len(noted)]

    def _text(self, token: int) -> str:
        return self.spelled(token).decode("utf-8", "replace")


def _choice(index: int, text: str, logprobs: dict[str, Any] | None, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}
