"""One reply: the engine's tokens turned into events, counted and timed."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from time import perf_counter
from typing import Protocol

from thinkport.runtime.constraints import AnswerConstraint
from thinkport.runtime.engine.generation import Finish, Generation, LogprobRecorder, Origin, Token, TokenLogprob
from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtEnd, ThoughtPiece, ToolCall
from thinkport.runtime.reply.following_prompt import FollowingPrompt
from thinkport.runtime.reply.reply_splitter import ReplySplitter
from thinkport.runtime.thinking.thinking import ThinkingEnd
from thinkport.runtime.thinking.thinking_switch import Decision, Part
from thinkport.runtime.thinking.thought_control import ThoughtControl


class AnswerGuard:
    """A constraint that begins where the answer begins. `control` is None for a model without thoughts."""

    def __init__(self, constraint: AnswerConstraint, control: ThoughtControl | None):
        self._constraint, self._control = constraint, control

    def shape(self, logits: Row) -> None:
        """Change the logits of the answer in place; before a reply's first token, opening a thought stays allowed."""
        control = self._control
        if control is not None and control.thinks:
            return
        held = self._constraint.apply(logits)
        if held is logits:
            return
        opens = control.start if control is not None and control.may_open else None
        kept = None if opens is None else logits[opens]
        logits[:] = held
        if opens is not None:
            logits[opens] = kept

    def accept(self, token: Token, part: Part, *, marker: bool) -> None:
        """Take note of a token of `part`; markers and forced tokens are no part of the answer.

        Raises:
            InputError: the format became too complex to hold.
        """
        if part is Part.ANSWER and not marker and token.origin is Origin.SAMPLED:
            assert token.id is not None
            self._constraint.accept(token.id)


class HasThinkingEnd(Protocol):
    """Knows why thinking ended."""

    @property
    def end(self) -> ThinkingEnd | None:
        """The reason, once it is decided."""


class Reply(Iterator[Event]):
    """Events of a reply, the last one its `End`. Read it from one thread; close its thought or cancel it from any."""

    def __init__(self, events: Generator[Event], stop: Stop, control: "HasThinkingEnd | None"):
        """Use `Model.stream` or `Chat.stream`."""
        self._events, self._stop, self._control = events, stop, control
        self._end: End | None = None

    def __next__(self) -> Event:
        """The next event, once it has come.

        Raises:
            InputError: another reply was begun over its KV cache, or the model was closed.
        """
        event = next(self._events)
        if isinstance(event, End):
            self._end = event
        return event

    @property
    def thinking_end(self) -> ThinkingEnd | None:
        """Why thinking ended, once it is decided; None before."""
        return self._control.end if self._control else ThinkingEnd.OFF

    def stop_thinking(self) -> None:
        """Close the thought at its next token, so that the answer comes; nothing if no thought is open by then."""
        self._stop.stop_thinking()

    def cancel(self) -> None:
        """End the reply at its next token."""
        self._stop.cancel()

    def abandon(self) -> None:
        """End the reply at its next token without an `End`, so that nothing of it is kept; from any thread."""
        self._stop.abandon()

    def close(self) -> None:
        """End the reply at once, without an `End`. For the thread that reads it."""
        self._events.close()

    def end(self) -> End:
        """Run the reply to its end; once there, the same `End` again.

        Raises:
            InputError: the reply was abandoned, closed or superseded before its end.
        """
        for _ in self:
            pass
        if self._end is None:
            raise InputError("the reply was abandoned or closed before its end: begin another one")
        return self._end


class ReplyRun:
    """What is kept while a reply is written. `ids` are its tokens, what ended it left out."""

    def __init__(
        self,
        tokens: Generation,
        prompt_tokens: int,
        decision: Decision,
        splitter: ReplySplitter,
        control: ThoughtControl | None,
        guard: AnswerGuard,
        recorder: LogprobRecorder | None = None,
        following: FollowingPrompt | None = None,
    ):
        """A reply that `tokens` make; `control` is None for a model without thoughts."""
        self.ids: list[int] = []
        self.texts = dict.fromkeys(Part, "")
        self.control = control
        self._tokens, self._prompt_tokens = tokens, prompt_tokens
        self._decision, self._splitter = decision, splitter
        self._guard, self._recorder = guard, recorder
        self._following = following
        self._logprobs: list[TokenLogprob] = []  # of the answer's tokens since its last piece
        self._seconds = dict.fromkeys(Part, 0.0)
        self._prefill, self._sampled = 0.0, False
        self._forced = 0
        self._calls: list[ToolCall] = []

    def events(self, stop: Stop, on_end: Callable[["ReplyRun", End], None]) -> Generator[Event]:
        """Yield the events while tokens come; `on_end` gets the end just before it is yielded.

        An abandoned reply has no end.
        """
        finish = Finish.CANCELLED
        last = perf_counter()
        with closing(self._tokens) as tokens:
            for token in tokens:
                self._count_time(perf_counter() - last, token)
                yield from self._take(token)
                finish = token.finish or finish
                last = perf_counter()  # without the reader's own time
        if stop.abandoned:
            return
        part = self._splitter.part
        yield from self._events_of(part, self._splitter.flush(finish), forced=False)
        if part is Part.THOUGHT:
            yield from self._thought_end(self.control.ended(finish) if self.control else None)
        end = self._end(finish)
        on_end(self, end)
        yield end

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt that were in the KV cache."""
        return self._tokens.reused

    @property
    def written(self) -> int:
        """Tokens of thought and answer so far, forced ones included; markers that the model drew are not counted."""
        return sum(self._splitter.tokens.values()) + self._forced

    @property
    def prefill(self) -> Speed:
        """The other tokens of the prompt, up to the first of the reply."""
        return Speed(tokens=self._prompt_tokens - self.cached_tokens, seconds=self._prefill)

    def _count_time(self, seconds: float, token: Token) -> None:
        """Add a token's time to its part. Forced ids run together with the prompt, before the first sampled token."""
        if self._sampled:
            self._seconds[self._splitter.part] += seconds
        else:
            self._prefill += seconds
            self._sampled = token.origin is Origin.SAMPLED

    def _take(self, token: Token) -> Iterator[Event]:
        if token.id is None or token.finish is Finish.STOP:
            return
        forced = token.origin is Origin.FORCED
        self.ids.append(token.id)
        self._forced += forced
        part = self._splitter.part
        pieces = self._splitter.feed(token.id, forced=forced)
        self._note_logprob(part, marker=part is not self._splitter.part)
        if self.control is not None:
            self.control.accept(token, self._splitter.part)
        self._guard.accept(token, self._splitter.part, marker=part is not self._splitter.part)
        if self._following is not None:
            self._following.take(token.id, part if part is self._splitter.part else None)
        yield from self._events_of(part, pieces, forced=forced)
        if part is Part.THOUGHT and self._splitter.part is Part.ANSWER:
            yield from self._thought_end(self.control.end if self.control else None)

    def _thought_end(self, reason: ThinkingEnd | None) -> Iterator[ThoughtEnd]:
        """The end of a thought; none for the empty one that says that there is no thought."""
        if reason is not None and reason is not ThinkingEnd.OFF:
            yield ThoughtEnd(reason=reason, thinking=self._speed(Part.THOUGHT))

    def _note_logprob(self, part: Part, *, marker: bool) -> None:
        noted = self._recorder.take() if self._recorder else None
        if noted and part is Part.ANSWER and not marker:
            self._logprobs.append(noted)

    def _events_of(self, part: Part, pieces: list[str | ToolCall], *, forced: bool) -> Iterator[Event]:
        for piece in pieces:
            if isinstance(piece, ToolCall):
                self._calls.append(piece)
                yield piece
            else:
                self.texts[part] += piece
                yield self._piece(part, piece, forced=forced)

    def _piece(self, part: Part, text: str, *, forced: bool) -> ThoughtPiece | AnswerPiece:
        tokens = self._splitter.tokens[part]
        if part is Part.THOUGHT:
            return ThoughtPiece(text=text, forced=forced, tokens=tokens)
        noted, self._logprobs = tuple(self._logprobs), []
        return AnswerPiece(text=text, forced=forced, tokens=tokens, logprobs=noted)

    def _end(self, finish: Finish) -> End:
        return End(
            thought=self.texts[Part.THOUGHT],
            answer=self.texts[Part.ANSWER],
            tool_calls=tuple(self._calls),
            thinking_end=self.control.ended(finish) if self.control else ThinkingEnd.OFF,
            answer_end=finish,
            enabled=self._decision.enabled,
            decided_by=self._decision.by,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self.cached_tokens,
            forced_tokens=self._forced,
            drafted_tokens=self._tokens.drafted,
            accepted_tokens=self._tokens.accepted,
            prefill=self.prefill,
            thinking=self._speed(Part.THOUGHT),
            answering=self._speed(Part.ANSWER),
        )

    def _speed(self, part: Part) -> Speed:
        return Speed(tokens=self._splitter.tokens[part], seconds=self._seconds[part])
