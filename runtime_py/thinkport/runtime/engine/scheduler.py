"""Which steps of a session run next: single tokens of several rows together, pieces of prompts between them.

Continuous batching as Orca has it (usenix.org/conference/osdi22/presentation/yu), with prompts in pieces as in
Sarathi-Serve (arXiv 2403.02310). Knows steps, rows and seconds; must not know graphs, samplers or replies. It has no
thread of its own: whoever finds that a step can begin runs it, for others too.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition, RLock
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.step_plan import StepPlan
from thinkport.runtime.errors import UnavailableError

_Ids = npt.NDArray[np.int64]
_Logits = npt.NDArray[np.float32]

_ACTIVE = 0.5  # seconds after its last step in which a row counts as one of several


class Row:
    """What is known of a lane's steps: when the last one ended, and whether its next ones come late."""

    def __init__(self) -> None:
        self.done_at = 0.0
        self.late = False


class ScheduledLane(ABC):
    """A lane whose steps run when a scheduler has them run; see `Lane`."""

    batch: int
    widest_step: int | None = None  # the most tokens of a step that is right on this device; None for any

    def __init__(self, scheduler: "Scheduler"):
        self.scheduler, self.row = scheduler, Row()

    @property
    @abstractmethod
    def length(self) -> int:
        """Tokens in the KV cache, of the longest sequence."""

    @abstractmethod
    def run(self, ids: _Ids, lengths: _Ids | None, keep: int) -> _Logits:
        """Run a step now, for the scheduler; as `step` otherwise."""

    @abstractmethod
    def trim(self, length: int) -> None:
        """Forget every token from `length` on."""

    def step(self, ids: _Ids, lengths: _Ids | None = None, keep: int = 1) -> _Logits:
        """Run `ids` (batch, sequence) over the cache, as `Lane.step` says, with steps of others where that can be."""
        return self.scheduler.step(self, ids, lengths, keep)

    @property
    def shares(self) -> bool:
        """Whether its next token may run in one step with those of other lanes."""
        return self.batch == 1 and self.scheduler.settings.max_rows > 1 and self.length > 0

    @property
    def crowded(self) -> bool:
        """Whether lanes of other threads are stepping too: single tokens are shared then, and wider steps are not."""
        return self.scheduler.crowded(self.row)

    def interrupt(self, why: str) -> None:
        """End the step that its thread waits for, with an `UnavailableError`; from any thread, a signal handler too."""
        self.scheduler.end(self, why)


class RunsTogether(Protocol):
    """Runs single tokens of several lanes; see `SharedSteps`."""

    def run(self, lanes: Sequence[Any], tokens: Sequence[int]) -> list[_Logits]:
        """The logits of each lane, (1, 1, vocabulary), valid until that lane's next step."""


class Step:
    """A step that a lane's thread waits for; `at` columns of it have run."""

    def __init__(self, lane: ScheduledLane, ids: _Ids, lengths: _Ids | None, keep: int, changed: Condition):
        self.lane, self.ids, self.lengths, self.keep, self.changed = lane, ids, lengths, keep, changed
        self.shared = ids.shape == (1, 1) and keep == 1 and lane.shares
        self.before, self.at = lane.length, 0
        self.logits: _Logits | None = None
        self.error: Exception | None = None
        self._kept: list[_Logits] = []

    @property
    def done(self) -> bool:
        """Whether its thread can go on."""
        return self.logits is not None or self.error is not None

    def run(self, most: int | None) -> None:
        """Run it alone, at most so many columns of it; an error takes back what ran."""
        columns = self.ids.shape[1]
        end = columns if most is None else min(self.at + most, columns)
        whole = self.at == 0 and end == columns
        try:
            if whole:
                self.logits, self.at = self.lane.run(self.ids, self.lengths, self.keep), end
                return
            wanted = end - max(self.at, columns - self.keep)
            logits = self.lane.run(self.ids[:, self.at : end], None, max(wanted, 1))
            if wanted > 0:
                self._kept.append(logits.copy())
            self.at = end
            if end == columns:
                self.logits = np.concatenate(self._kept, axis=1)
        except Exception as error:
            if not whole:  # a whole step that fails leaves the lane as it was
                self.lane.trim(self.before)
            self.error = error

    def begin_again(self) -> None:
        """Forget what ran of it, since whoever ran it was interrupted."""
        self.lane.trim(self.before)
        self.at, self._kept = 0, []


@dataclass
class StepFigures:
    """What ran so far: steps that rows shared, and rows of these; steps in all; the most rows of one step."""

    steps: int = 0
    shared_steps: int = 0
    shared_rows: int = 0
    most_rows: int = 0


class Scheduler:
    """Runs the steps of one session, one at a time.

    | state   | entered by                           | what runs                     | left when                      |
    |---------|--------------------------------------|-------------------------------|--------------------------------|
    | waiting | `step`; a piece ran and more is left | nothing                       | a waiting thread chooses it    |
    | shared  | chosen: all rows are back, or late   | one token of up to `max_rows` | it has logits, or an error     |
    | alone   | chosen: its turn by `prompt_share`,  | all of it, or a piece while   | as shared; waiting again where |
    |         | or nothing shared waits or is due    | other rows are written        | more is left                   |
    | done    | logits or an error; `end`            | nothing                       | its thread goes on             |

    With `max_rows` 1 all steps run alone and whole, in the order in which they came.
    """

    def __init__(self, together: RunsTogether, settings: RowSettings):
        self.settings, self.figures = settings, StepFigures()
        self._together = together
        self._lock = RLock()  # a signal handler may `end` within it
        self._waiting: list[Step] = []  # first come first
        self._running: list[Step] = []
        self._served: dict[Row, None] = {}  # rows of shared steps whose next one may come
        self._seen: dict[Row, float] = {}  # rows, and when their last step ended or began to wait
        self._plan = StepPlan(settings)

    def step(self, lane: ScheduledLane, ids: _Ids, lengths: _Ids | None, keep: int) -> _Logits:
        """Run a step; its logits are valid until the lane's next one.

        Raises:
            UnavailableError: `end` came meanwhile.
            ThinkportError: what the lane's own step raises.
        """
        with self._lock:
            step = Step(lane, ids, lengths, keep, Condition(self._lock))
            self._arrive(step)
            try:
                while not step.done:
                    seconds = None
                    if not self._running:
                        chosen, seconds = self._choose()
                        if chosen:
                            self._run(chosen)
                            continue
                    step.changed.wait(seconds)
            except BaseException:  # this thread was interrupted, perhaps while another one runs the step
                step.error = step.error or UnavailableError("the thread that waited for this step was interrupted")
                while step in self._running:
                    step.changed.wait()
                step.begin_again()
                raise
            finally:
                if step in self._waiting:  # its wait was interrupted
                    self._waiting.remove(step)
                self._wake_next()
        if step.error is not None:
            raise step.error
        assert step.logits is not None
        return step.logits

    def crowded(self, row: Row) -> bool:
        """Whether other rows are active too, which it shares steps with."""
        if self.settings.max_rows == 1:
            return False
        since = perf_counter() - _ACTIVE
        with self._lock:
            waits = any(step.lane.row is not row for step in [*self._waiting, *self._running])
            return waits or any(seen > since for one, seen in self._seen.items() if one is not row)

    def end(self, lane: ScheduledLane, why: str) -> None:
        """End the steps of a lane that wait or run, whose thread gets an `UnavailableError`; from any thread."""
        with self._lock:
            for step in [*self._waiting, *self._running]:
                if step.lane is lane:
                    step.error = UnavailableError(why)
                    step.changed.notify()

    def _arrive(self, step: Step) -> None:
        now, row = perf_counter(), step.lane.row
        self._waiting.append(step)
        self._served.pop(row, None)
        row.late = row.late and now - row.done_at > self._plan.patience
        self._seen[row] = now
        if len(self._seen) > 2 * self.settings.max_rows:
            self._seen = {one: seen for one, seen in self._seen.items() if now - seen < _ACTIVE}

    def _choose(self) -> tuple[list[Step], float | None]:
        """The steps to run now, or none and the seconds after which to look again."""
        if self.settings.max_rows == 1 or not self._waiting:
            return self._waiting[:1], None
        shared = [step for step in self._waiting if step.shared][: self.settings.max_rows]
        alone = next((step for step in self._waiting if not step.shared), None)
        patience = self._due()
        if alone is not None and (self._plan.prompts_turn or not (shared or patience)):
            return [alone], None
        if len(shared) == self.settings.max_rows or not patience:
            return shared, None
        return [], patience

    def _due(self) -> float:
        """Seconds that rows of the last step have left to come; those whose time is over are late from now on."""
        now = perf_counter()
        for row in list(self._served):
            if row.late or now - row.done_at >= self._plan.patience:
                row.late = True
                del self._served[row]
        return max((self._plan.patience - (now - row.done_at) for row in self._served), default=0.0)

    def _run(self, chosen: list[Step]) -> None:
        first, most = chosen[0], self.settings.max_rows
        self._running = chosen
        self._waiting = [step for step in self._waiting if step not in chosen]
        waited_for = bool(self._served) or any(step.shared for step in self._waiting)
        written = most > 1 and not first.shared and waited_for
        at, began = first.at, perf_counter()
        self._lock.release()
        try:
            if len(chosen) > 1:
                self._run_together(chosen)
            else:
                first.run(self._piece(first, written=written))
        except BaseException:  # no error of a step: this thread was interrupted
            for step in chosen:
                if not step.done:
                    step.begin_again()
            raise
        finally:
            self._lock.acquire()
            self._ran(chosen)
            self._count(first, len(chosen), first.at - at, perf_counter() - began, written=written)

    def _run_together(self, chosen: list[Step]) -> None:
        try:
            found = self._together.run([step.lane for step in chosen], [int(step.ids[0, 0]) for step in chosen])
        except Exception:  # of one row, perhaps: each runs alone and has its own error
            for step in chosen:
                step.lane.trim(step.before)
                step.run(None)
            return
        for step, logits in zip(chosen, found, strict=True):
            step.logits = logits

    def _piece(self, step: Step, *, written: bool) -> int | None:
        """The most tokens of a step's next piece; None for all of it."""
        widest = step.lane.widest_step
        if step.lane.batch > 1 or step.lengths is not None:
            return None
        if not written:
            return widest
        width = self._plan.width(step.before + step.at, step.ids.shape[1] - step.at)
        return width if widest is None else min(width, widest)

    def _ran(self, chosen: list[Step]) -> None:
        """Let those go on whose steps are done; next pieces wait behind all that wait, so that prompts take turns."""
        now = perf_counter()
        self._running = []
        for step in chosen:
            row = step.lane.row
            row.done_at = self._seen[row] = now
            if not step.done:
                self._waiting.append(step)
                continue
            if step.shared:
                self._served[row] = None
            step.changed.notify()

    def _count(self, first: Step, rows: int, columns: int, seconds: float, *, written: bool) -> None:
        figures = self.figures
        figures.steps += 1
        if not first.shared:
            self._plan.ran_alone(seconds, first.before + first.at - columns, columns, rows_wait=written)
            return
        self._plan.ran_shared(seconds, prompt_waits=any(not step.shared for step in self._waiting))
        if rows > 1:
            figures.shared_steps += 1
            figures.shared_rows += rows
            figures.most_rows = max(figures.most_rows, rows)

    def _wake_next(self) -> None:
        """Have one of those who wait look for what runs next; called by a thread that goes."""
        if self._waiting and not self._running:
            self._waiting[0].changed.notify()
