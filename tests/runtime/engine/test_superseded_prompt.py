"""A prompt that waits for its graph while another reply takes the KV cache over."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.runtime.conftest import FakeLane, FakeSession

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.session import PromptSteps

LONG, SHORT = list(range(90)), [1, 2, 3]


class SlowlyLoaded(FakeSession):
    """A session with a graph for long prompts, which loads until `loaded`; `lent` are its steps' widths."""

    def __init__(self) -> None:
        super().__init__()
        self.loading, self.loaded = Event(), Event()
        self.lent: list[int] = []

    def open_lane(self, batch: int = 1) -> "LaneOfTwoGraphs":
        return LaneOfTwoGraphs(self, batch)


class LaneOfTwoGraphs(FakeLane):
    session: SlowlyLoaded

    @contextmanager
    def prefilling(self, tokens: int) -> Iterator[PromptSteps]:
        if tokens < len(LONG):
            yield PromptSteps(16, self.step)
            return
        self.session.loading.set()
        assert self.session.loaded.wait(60)

        def long_step(ids, lengths=None, keep=1):
            self.session.lent.append(ids.shape[1])
            return self.step(ids, lengths, keep)

        yield PromptSteps(16, long_step)


def test_the_graph_of_a_superseded_prompt_runs_no_step_of_the_newer_reply() -> None:
    session = SlowlyLoaded()
    engine, ran = Engine(session), []
    older = Thread(target=lambda: ran.append(engine.prefill(LONG)))
    older.start()
    assert session.loading.wait(60)
    reply = engine.generate(SHORT, Sampler(SamplingSettings(temperature=0.0), seed=0), max_tokens=8, drafts=False)
    first = next(reply)
    session.loaded.set()
    older.join(60)
    rest = list(reply)
    assert len([first, *rest]) == 8
    assert not session.lent
    assert ran == [False]
