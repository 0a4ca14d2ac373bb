"""What a body asks for, once it is checked, and how a job writes it.

Knows requests of the runtime; must not know fields, or how a reply is sent.
"""

from collections.abc import Generator
from dataclasses import dataclass

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.events import Event
from thinkport.runtime.model import Model
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.jobs import Plan
from thinkport.runtime.server.stop_strings import stopping


@dataclass(frozen=True, kw_only=True)
class ReplyPlan:
    """What a body asks for. `stops` end the answer; `single_call` ends it after its first tool call."""

    request: ReplyRequest
    replies: int = 1
    stops: tuple[str, ...] = ()
    single_call: bool = False
    stream: bool = False
    include_usage: bool = False

    def job(self, model: Model) -> Plan:
        """How a job writes it, and the prompt that the replies begin with.

        Raises:
            InputError: messages that the model's template refuses.
        """
        prepared = model.replies.prepare(self.request)

        def begin(engine: Engine, index: int, stop: Stop) -> Generator[Event]:
            reply = model.replies.begin(prepared, engine, number=index, stop=stop)
            return stopping(reply, stop, self.stops, single_call=self.single_call)

        return Plan(prepared.prompt.ids, begin, self.replies)
