"""A reply with no template, thought or tools: a prompt's ids go on.

Knows tokens and text; must not know messages.
"""

from collections.abc import Generator
from time import perf_counter

from thinkport.runtime.engine.generation import Finish, Generation, Origin
from thinkport.runtime.engine.logprobs import LogprobRecorder, TokenLogprob
from thinkport.runtime.events import AnswerPiece, End, Event, Speed
from thinkport.runtime.prompt.detokenize import Detokenizer
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.thinking.thinking import DecidedBy, Switch, ThinkingEnd


def raw_reply(
    tokens: Generation, prompt_tokens: int, tokenizer: Tokenizer, recorder: LogprobRecorder | None
) -> Generator[Event]:
    """Pieces of text as of an answer, and the end; whatever tokens come, markers among them, are text."""
    detokenizer = Detokenizer(tokenizer)
    began, prefill, count, text, finish = perf_counter(), 0.0, 0, "", Finish.CANCELLED
    noted: list[TokenLogprob] = []
    for token in tokens:
        prefill = prefill or perf_counter() - began
        finish = token.finish or finish
        if token.id is None or token.finish is Finish.STOP:
            continue
        count += token.origin is Origin.SAMPLED
        if recorder is not None and (one := recorder.take()):
            noted.append(one)
        if piece := detokenizer.feed(token.id):
            text += piece
            yield AnswerPiece(text=piece, tokens=count, logprobs=tuple(noted))
            noted = []
    if rest := detokenizer.flush():
        text += rest
        yield AnswerPiece(text=rest, tokens=count, logprobs=tuple(noted))
    yield End(
        thought="",
        answer=text,
        thinking_end=ThinkingEnd.OFF,
        answer_end=finish,
        enabled=Switch.OFF,
        decided_by=DecidedBy.CALL,
        prompt_tokens=prompt_tokens,
        cached_tokens=tokens.reused,
        forced_tokens=0,
        drafted_tokens=tokens.drafted,
        accepted_tokens=tokens.accepted,
        prefill=Speed(tokens=prompt_tokens - tokens.reused, seconds=prefill),
        thinking=Speed(tokens=0, seconds=0.0),
        answering=Speed(tokens=count, seconds=perf_counter() - began - prefill),
    )
