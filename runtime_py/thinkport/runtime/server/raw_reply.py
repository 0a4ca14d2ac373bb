"""A reply with no template, thought or tools: a prompt's ids go on.

Knows an engine and text; must not know messages.
"""

from collections.abc import Iterator, Sequence
from time import perf_counter

from thinkport.runtime.detokenize import Detokenizer
from thinkport.runtime.engine import Engine, Finish, Origin
from thinkport.runtime.events import AnswerPiece, End, Event, Speed
from thinkport.runtime.logprobs import LogprobRecorder, TokenLogprob
from thinkport.runtime.model import Model
from thinkport.runtime.sampling import Sampler
from thinkport.runtime.thinking import DecidedBy, Switch, ThinkingEnd


class RawReply:
    """What a model says after `prompt`; whatever tokens come, markers among them, are text."""

    def __init__(
        self,
        model: Model,
        engine: Engine,
        prompt: Sequence[int],
        sampler: Sampler,
        recorder: LogprobRecorder | None,
        max_tokens: int,
    ):
        """Begin it over an engine.

        Raises:
            InputError: a prompt that can't be run.
        """
        self._engine, self._recorder, self._prompt = engine, recorder, len(prompt)
        self._detokenizer = Detokenizer(model.tokenizer)
        self._tokens = engine.generate(
            prompt, sampler, stop_ids=model.manifest.stop_ids, max_tokens=max_tokens, drafts=model.drafts
        )

    def cancel(self) -> None:
        """End at the next token."""
        self._engine.cancel()

    def stop_thinking(self) -> None:
        """Nothing: there is no thought."""

    def __iter__(self) -> Iterator[Event]:
        """Pieces of text as of an answer, and the end."""
        began, prefill, count, text, finish = perf_counter(), 0.0, 0, "", Finish.CANCELLED
        noted: list[TokenLogprob] = []
        for token in self._tokens:
            prefill = prefill or perf_counter() - began
            finish = token.finish or finish
            if token.id is None or token.finish is Finish.STOP:
                continue
            count += token.origin is Origin.SAMPLED
            if self._recorder is not None and (one := self._recorder.take()):
                noted.append(one)
            piece = self._detokenizer.feed(token.id)
            if piece:
                text += piece
                yield AnswerPiece(text=piece, tokens=count, logprobs=tuple(noted))
                noted = []
        if rest := self._detokenizer.flush():
            text += rest
            yield AnswerPiece(text=rest, tokens=count, logprobs=tuple(noted))
        yield self._end(text, finish, count, prefill, perf_counter() - began - prefill)

    def _end(self, text: str, finish: Finish, count: int, prefill: float, seconds: float) -> End:
        cached = self._engine.reused
        return End(
            thought="",
            answer=text,
            thinking_end=ThinkingEnd.OFF,
            answer_end=finish,
            enabled=Switch.OFF,
            decided_by=DecidedBy.CALL,
            prompt_tokens=self._prompt,
            cached_tokens=cached,
            forced_tokens=0,
            drafted_tokens=self._engine.drafted,
            accepted_tokens=self._engine.accepted,
            prefill=Speed(tokens=self._prompt - cached, seconds=prefill),
            thinking=Speed(tokens=0, seconds=0.0),
            answering=Speed(tokens=count, seconds=seconds),
        )
