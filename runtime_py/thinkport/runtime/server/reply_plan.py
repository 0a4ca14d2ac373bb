"""What a body asks for, once it is checked, and how it is written: replies whose answers end before a stop string.

Knows requests and events of the runtime; must not know fields, or how a reply is sent.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from math import nan

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.generation import Finish, TokenLogprob
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import AnswerPiece, End, Event, ToolCall
from thinkport.runtime.reply.reply import Reply
from thinkport.runtime.reply.reply_maker import ReplyMaker
from thinkport.runtime.reply.reply_request import PreparedReply
from thinkport.runtime.reply.stop_text import StopText


@dataclass(frozen=True, kw_only=True)
class ReplyPlan:
    """What a body asks for. `stops` end the answer; `single_call` ends it after its first tool call.

    `notes` say what is done in another way than asked, in ASCII. `echoed_logprobs`: the prompt's tokens come before the
    reply, with so many of the likeliest ones at their places.
    """

    maker: ReplyMaker
    prepared: PreparedReply
    replies: int = 1
    stops: tuple[str, ...] = ()
    single_call: bool = False
    stream: bool = False
    include_usage: bool = False
    echoed_logprobs: int | None = None
    notes: tuple[str, ...] = ()

    def begin(self, engine: Engine, number: int, stop: Stop, *, last: bool = False) -> Generator[Event]:
        """The events of the reply of that number; after the `last` one, nothing of its conversation comes any more.

        Raises:
            InputError: a request that can't be run.
        """
        echoed = self._echoed(engine, stop)  # a reply that has begun would be ended by it
        settles = engine.settles_beside and self.replies == 1 and not last
        reply = self.maker.begin(self.prepared, engine, number=number, stop=stop, settles=settles, stops=self.stops)
        return self._events(reply, stop, echoed)

    def _echoed(self, engine: Engine, stop: Stop) -> tuple[TokenLogprob, ...]:
        """The prompt's tokens; the first has no probability, since nothing comes before it."""
        ids, top = self.prepared.prompt.ids, self.echoed_logprobs
        if top is None or not ids:  # an empty prompt is refused when the reply begins
            return ()
        rest = engine.scores(ids, top=top, stop=stop) if len(ids) > 1 else ()
        return TokenLogprob(id=ids[0], logprob=nan), *rest

    def _events(self, reply: Reply, stop: Stop, echoed: tuple[TokenLogprob, ...]) -> Generator[Event]:
        text, shown, calls = StopText(self.stops), "", 0
        if echoed:
            yield AnswerPiece(text="", logprobs=echoed)
        for event in reply:
            if isinstance(event, End):
                if rest := text.flush():
                    shown += rest
                    yield AnswerPiece(text=rest, tokens=event.answer_tokens)
                end = replace(event, answer=shown, tool_calls=event.tool_calls[: 1 if self.single_call else None])
                ended = text.met is not None or (self.single_call and calls)
                yield replace(end, answer_end=Finish.STOP, stop_text=text.met) if ended else end
            elif isinstance(event, AnswerPiece):
                new = text.feed(event.text)
                shown += new
                if new or event.logprobs:
                    yield replace(event, text=new)
                if text.met is not None:
                    stop.cancel()
            elif isinstance(event, ToolCall) and self.single_call:
                calls += 1
                if calls == 1:
                    yield event
                    stop.cancel()
            else:
                yield event
