"""One reply: the engine's tokens turned into events, counted and timed."""

from collections.abc import Iterator
from time import perf_counter

from thinkport.runtime.engine import Engine, Finish, Origin, Token
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtPiece
from thinkport.runtime.reply_splitter import Part, ReplySplitter
from thinkport.runtime.thinking import DecidedBy, Switch

_PIECES: dict[Part, type[ThoughtPiece] | type[AnswerPiece]] = {Part.THOUGHT: ThoughtPiece, Part.ANSWER: AnswerPiece}


def stream_reply(
    engine: Engine, prompt_tokens: int, tokens: Iterator[Token], splitter: ReplySplitter
) -> Iterator[Event]:
    """Yield the events of a reply while `tokens` come; the last one is its `End`."""
    texts = dict.fromkeys(Part, "")
    seconds = dict.fromkeys(Part, 0.0)
    prefill = None
    finish = Finish.CANCELLED
    last = perf_counter()
    for token in tokens:
        now = perf_counter()
        if prefill is None:
            prefill = now - last
        else:
            seconds[splitter.part] += now - last
        part, text = _text_of(token, splitter)
        if text:
            texts[part] += text
            yield _PIECES[part](text=text, forced=token.origin is Origin.FORCED)
        finish = token.finish or finish
        last = perf_counter()  # the reader's own time is nobody's
    part, text = splitter.flush()
    if text:
        texts[part] += text
        yield _PIECES[part](text=text)
    yield End(
        thought=texts[Part.THOUGHT],
        answer=texts[Part.ANSWER],
        thinking_end=splitter.ended(finish),
        answer_end=finish,
        enabled=Switch.AUTO,
        decided_by=DecidedBy.TEMPLATE,
        forced_tokens=0,
        prompt_tokens=prompt_tokens,
        cached_tokens=engine.reused,
        prefill=Speed(tokens=prompt_tokens - engine.reused, seconds=prefill or 0.0),
        thinking=Speed(tokens=splitter.tokens[Part.THOUGHT], seconds=seconds[Part.THOUGHT]),
        answering=Speed(tokens=splitter.tokens[Part.ANSWER], seconds=seconds[Part.ANSWER]),
    )


def last_of(events: Iterator[Event]) -> End:
    """Run a reply to its end."""
    *_, end = events
    assert isinstance(end, End)
    return end


def _text_of(token: Token, splitter: ReplySplitter) -> tuple[Part, str]:
    if token.id is None or token.finish is Finish.STOP:
        return splitter.part, ""
    return splitter.feed(token.id)
