"""What several clients get of one model at the same time: in shared steps, and in turns with the same kernels.

Clients are threads with an engine each, as the server's are. Contexts are noise: speed does not depend on what they
hold.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Barrier, Thread
from time import perf_counter

from thinkport.deploy.bench.contender import BenchPlan
from thinkport.deploy.bench.workers.artifact_worker import engine_name, noise
from thinkport.deploy.cold_start import process_memory
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model
from thinkport.runtime.providers.trials import finish_trials

LATE_PROMPT = 512  # tokens of the prompt that comes while others are written
_FIRST = 3  # tokens of a client before speeds are taken


@dataclass(frozen=True, kw_only=True)
class ClientsGain:
    """`clients` replies at a context: tokens a second of all together, medians of the rounds; `gain` is their ratios'.

    `longest_wait` is the longest time between two tokens of a client in shared steps, in seconds. `private_bytes`: the
    process's own memory meanwhile, None where the system doesn't say.
    """

    context: int
    clients: int
    turns: float
    shared: float
    gain: float
    longest_wait: float
    private_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class LateClient:
    """A client that comes with a prompt of `prompt` tokens while `clients` others are written, at `context`; seconds.

    `alone`: until its first token, with nobody else. `first_token`: the same beside the others. `longest_wait`: of the
    others between two tokens meanwhile. `step`: of one that they share.
    """

    context: int
    clients: int
    prompt: int
    alone: float
    first_token: float
    longest_wait: float
    step: float


@dataclass(frozen=True, kw_only=True)
class ClientsFound:
    """What was measured, and the settings that it was measured with."""

    rows: RowSettings
    gains: tuple[ClientsGain, ...]
    late: tuple[LateClient, ...]


class _Client(Thread):
    """Writes a reply of `tokens` tokens after a context of noise; `times` are when its tokens came.

    `stopped` ends it early.
    """

    def __init__(self, engine: Engine, sampling: SamplingSettings, prompt: list[int], tokens: int, together: Barrier):
        super().__init__(daemon=True)
        self.times: list[float] = []
        self.error: Exception | None = None
        self.stopped = False
        self._engine, self._sampling, self._prompt, self._tokens = engine, sampling, prompt, tokens
        self._together = together

    def run(self) -> None:
        try:
            self._together.wait()
            for _ in self._engine.generate(self._prompt, Sampler(self._sampling, seed=1), max_tokens=self._tokens):
                self.times.append(perf_counter())
                if self.stopped:
                    break
        except Exception as error:
            self.error = error


def measure_clients(artifact: Path, plan: BenchPlan, told: Callable[[str], None] = lambda _: None) -> ClientsFound:
    """Time every number of clients at every context, in turns and in shared steps, one after the other in each round.

    Raises:
        InputError: a number of clients out of range, a graph whose replies take turns, a context that is too short, or
            so few steps that the clients don't write at the same time.
        ArtifactError: the artifact is broken.
    """
    with _opened(artifact, plan, LATE_PROMPT) as bench:
        gains = [bench.gain(context, count, told) for context in plan.contexts for count in plan.clients]
        late = [bench.late(context, max(plan.clients), told) for context in plan.contexts]
        return ClientsFound(rows=bench.rows, gains=tuple(gains), late=tuple(late))


def shared_speeds(artifact: Path, plan: BenchPlan) -> tuple[str, dict[int, dict[int, float]]]:
    """The engine, and the tokens per second of all clients in shared steps, by context and number of clients.

    Raises:
        InputError: as of `measure_clients`.
        ArtifactError: the artifact is broken.
    """
    with _opened(artifact, plan) as bench:
        speeds = {n: {count: bench.run(n, count, bench.rows)[0] for count in plan.clients} for n in plan.contexts}
        return engine_name(bench.model), speeds


@contextmanager
def _opened(artifact: Path, plan: BenchPlan, more: int = 0) -> Iterator["_Bench"]:
    """A model that holds `more` tokens, or the plan's steps, after every context."""
    clients = plan.clients
    if min(clients, default=0) < 1 or not plan.contexts:
        raise InputError(f"{clients} clients at contexts of {plan.contexts}: expected numbers, each 1 or more")
    rows = RowSettings(max_rows=max(clients))
    finish_trials(artifact, plan.provider)
    with Model.load(
        artifact, threads=plan.threads, provider=plan.provider, kernels=plan.kernels, prefix_cache_bytes=0
    ) as model:
        session = model.session
        assert isinstance(session, Session), "an artifact's graph is loaded as a session"
        bench = _Bench(model, session, plan, rows)
        if rows.max_rows > 1 and session.scheduler.settings.max_rows == 1:
            raise InputError(f"replies take turns here: {model.provider_report.reason}; only graphs for the CPU share")
        needed = max(plan.contexts) + max(plan.steps + _FIRST, more)
        if needed > session.context_length:
            raise InputError(f"the context holds {session.context_length} tokens, {needed} are needed: --context less")
        yield bench


class _Bench:
    """A loaded model under measurement."""

    def __init__(self, model: Model, session: Session, plan: BenchPlan, rows: RowSettings):
        self.model, self.rows, self._session, self._plan = model, rows, session, plan
        self._sampling = SamplingSettings.from_preset(model.manifest.sampling.answering)
        self._turns = RowSettings(max_rows=1)
        session.share_steps(rows)

    def gain(self, context: int, count: int, told: Callable[[str], None]) -> ClientsGain:
        turns, shared, waits, memory = [], [], [], []
        for turn in range(self._plan.rounds):
            told(f"round {turn + 1} of {self._plan.rounds}: {count} clients at {context}")
            for settings in (self._turns, self.rows) if turn % 2 == 0 else (self.rows, self._turns):
                speed, wait, private = self.run(context, count, settings)
                if settings is self._turns:
                    turns.append(speed)
                else:
                    shared.append(speed)
                    waits.append(wait)
                    memory.append(private)
        ratios = [fast / slow for fast, slow in zip(shared, turns, strict=True)]
        return ClientsGain(
            context=context,
            clients=count,
            turns=median(turns),
            shared=median(shared),
            gain=median(ratios),
            longest_wait=max(waits),
            private_bytes=min((one for one in memory if one is not None), default=None),
        )

    def late(self, context: int, count: int, told: Callable[[str], None]) -> LateClient:
        told(f"a client more beside {count} at {context}")
        prompt = [at % 1000 for at in range(LATE_PROMPT)]
        self._session.share_steps(self.rows)
        alone = self._first_token(prompt)  # from which the scheduler knows what a prompt costs, as a server's does
        clients, together = self._clients(context, count, tokens=LATE_PROMPT)
        together.wait()
        _until(lambda: all(len(client.times) > 4 for client in clients), clients)
        began = perf_counter()
        first = self._first_token(prompt)
        ended = perf_counter()
        for client in clients:
            client.stopped = True
        _join(clients)
        meanwhile = [[at for at in client.times if at <= ended] for client in clients]
        waits = [other - one for times in meanwhile for one, other in pairwise(times) if other >= began]
        steps = [other - one for times in meanwhile for one, other in pairwise(times) if other < began]
        return LateClient(
            context=context,
            clients=count,
            prompt=LATE_PROMPT,
            alone=alone,
            first_token=first,
            longest_wait=max(waits),
            step=median(steps),
        )

    def _first_token(self, prompt: list[int]) -> float:
        engine, began = self.model.engine(), perf_counter()
        next(engine.generate(prompt, Sampler(self._sampling, seed=1)))
        return perf_counter() - began

    def _clients(self, context: int, count: int, tokens: int) -> tuple[list[_Client], Barrier]:
        """Clients that begin once the barrier is waited for."""
        held, together = [7] * (context - 1), Barrier(count + 1)
        kept = noise(self.model.manifest.model, self._session.graph, context - 1)
        clients = []
        for number in range(count):
            engine = self.model.engine()
            engine.restore(held, kept)
            clients.append(_Client(engine, self._sampling, [*held, 8 + number], tokens, together))
            clients[-1].start()
        return clients, together

    def run(self, context: int, count: int, settings: RowSettings) -> tuple[float, float, int | None]:
        """Tokens a second after everybody's third, the longest wait for one of these, and the process's memory."""
        self._session.share_steps(settings)
        clients, together = self._clients(context, count, self._plan.steps + _FIRST)
        together.wait()
        _join(clients)
        memory = process_memory()
        began = max(client.times[_FIRST - 1] for client in clients)
        ended = min(client.times[-1] for client in clients)
        if ended <= began:
            raise InputError(
                f"of {count} clients one wrote its {self._plan.steps} tokens before another one began: --steps more"
            )
        tokens = sum(began < at <= ended for client in clients for at in client.times)
        waits = [b - a for client in clients for a, b in pairwise(client.times[_FIRST - 1 :])]
        return tokens / (ended - began), max(waits), None if memory is None else memory.private


def _join(clients: Sequence[_Client]) -> None:
    for client in clients:
        client.join()
        if client.error is not None:
            raise client.error


def _until(holds: Callable[[], bool], clients: Sequence[_Client]) -> None:
    while not holds():
        for client in clients:
            client.join(0.005)
            if client.error is not None:
                raise client.error
