"""Fakes whose steps go through a real scheduler."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.runtime.conftest import FakeLane, FakeSession

from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.scheduler import ScheduledLane, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thinkport.runtime.engine.session import Logits


class SharingLane(ScheduledLane, FakeLane):
    """A fake lane behind a scheduler."""

    def __init__(self, session: Any, batch: int):
        FakeLane.__init__(self, session, batch)
        ScheduledLane.__init__(self, session.scheduler)

    length = FakeLane.length
    trim = FakeLane.trim

    def run(self, ids, lengths, keep):
        sleep(0.0005)  # a real step lets other threads run, too
        return FakeLane.step(self, ids, lengths, keep)


class Together:
    """Runs shared steps lane by lane; `sizes` are their rows. `fault` is called with the tokens of each, before it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.fault: Callable[[Sequence[int]], None] = lambda _: None

    def run(self, lanes: Sequence[Any], tokens: Sequence[int]) -> list[Logits]:
        self.fault(tokens)
        self.sizes.append(len(lanes))
        return [lane.run(np.array([[token]]), None, 1) for lane, token in zip(lanes, tokens, strict=True)]


def share(session: FakeSession, settings: RowSettings | None = None) -> Together:
    """Have a fake session's lanes share their steps; what runs them."""
    together = Together()
    sharing: Any = session
    sharing.scheduler = Scheduler(together, settings or RowSettings())
    sharing.open_lane = lambda batch=1: SharingLane(session, batch)
    return together
