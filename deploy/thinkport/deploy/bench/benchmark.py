"""Runs contenders in alternating order and gathers what they measured. Prints nothing."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from thinkport.deploy.bench.bandwidth import Bandwidth
from thinkport.deploy.bench.contender import BenchPlan, Contender, Kind, Sample
from thinkport.deploy.bench.machine import BenchMachine
from thinkport.deploy.bench.talk import TalkSeconds
from thinkport.runtime.artifact.certificate import Figure
from thinkport.runtime.artifact.manifest import Graph, Manifest, fingerprint, kv_bytes, read_manifest
from thinkport.runtime.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The best of the rounds and their median, and how far the worst is below the best, as a share of it."""

    best: float
    median: float
    spread: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """The spread of all rounds' values, of which more is better; None if there are none."""
        if not values:
            return None
        return cls(best=max(values), median=median(values), spread=1 - min(values) / max(values))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an artifact's decode step reads: bytes of weights, and bytes of KV cache for each token of context."""

    weights: float
    kv_token: int

    @classmethod
    def of(cls, manifest: Manifest, graph: Graph) -> "Cost":
        """The cost by the manifest. An embedding of its own does not count, since a step reads one row of it."""
        read = [form for role, form in manifest.recipe.roles.items() if role != "embedding"]
        return cls(
            weights=sum(form.weights * form.bits_per_weight / 8 for form in read),
            kv_token=kv_bytes(manifest.model, graph.kv),
        )

    def at(self, context: int) -> float:
        """Bytes of one step at a context."""
        return self.weights + context * self.kv_token


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """One contender's samples, one a round; an artifact's cost, figure and sha256 come from its manifest.

    `failed` says why there are no more samples of it.
    """

    name: str
    kind: Kind
    samples: tuple[Sample, ...]
    cost: Cost | None = None
    figure: Figure | None = None
    sha256: str | None = None
    failed: str | None = None

    def prefill(self, length: int) -> Spread | None:
        """Tokens per second of prompts of `length`."""
        return Spread.of([sample.prefill[length] for sample in self.samples if length in sample.prefill])

    def decode(self, context: int) -> Spread | None:
        """Tokens per second at `context`."""
        return Spread.of([sample.decode[context] for sample in self.samples if context in sample.decode])

    @property
    def context_bytes(self) -> dict[int, int]:
        """The least private memory with a KV cache of each context that was measured."""
        lengths = sorted({length for sample in self.samples for length in sample.context_bytes})
        return {n: min(s.context_bytes[n] for s in self.samples if n in s.context_bytes) for n in lengths}

    def least(self, name: str) -> float | None:
        """The smallest `load_s`, `files_s`, `first_token_s` or `private_bytes`."""
        return min((found for sample in self.samples if (found := getattr(sample, name)) is not None), default=None)

    @property
    def talks(self) -> list[TalkSeconds]:
        """Each round's conversation, the fastest first."""
        found = [sample.talk for sample in self.samples if sample.talk is not None]
        return sorted(found, key=lambda one: one.total)

    @property
    def engine_share(self) -> float | None:
        """`model.stream`'s speed as a share of bare steps' speed, in the best round, since noise only lowers it."""
        return max((s.engine_share for s in self.samples if s.engine_share is not None), default=None)

    def of_limit(self, context: int, bandwidth: float) -> float | None:
        """The share of the memory's speed that decoding reaches; None without a manifest."""
        speed = self.decode(context)
        return speed.best * self.cost.at(context) / bandwidth if speed and self.cost else None

    def as_json(self) -> dict[str, Any]:
        """Every sample, for programs."""
        return {
            "name": self.name,
            "kind": str(self.kind),
            "sha256": self.sha256,
            "step_bytes": vars(self.cost) if self.cost else None,
            "divergence": self.figure.model_dump() if self.figure else None,
            "samples": [asdict(sample) for sample in self.samples],
            "failed": self.failed,
        }


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Rows in the given order; the others are compared with the first."""

    machine: BenchMachine
    bandwidth: Bandwidth
    plan: BenchPlan
    rows: tuple[BenchRow, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        facts = {"machine": self.machine.as_json(), "read_bandwidth": vars(self.bandwidth), "plan": asdict(self.plan)}
        return {**facts, "rows": [row.as_json() for row in self.rows]}


def measure(
    contenders: Sequence[Contender], plan: BenchPlan, told: Callable[[str], None] = lambda _: None
) -> tuple[BenchRow, ...]:
    """Measure every contender once a round, in alternating order; `told` is called with what comes next.

    A first round more warms the machine and its caches up, and is forgotten. The first contender is what the others are
    compared with; another one that fails is asked no more, and its row says why.

    Raises:
        InputError: the first contender fails, or a length is beyond an artifact's context.
        ArtifactError: an artifact is broken.
    """
    for artifact in (contender.path for contender in contenders if contender.kind is Kind.ARTIFACT):
        limit = read_manifest(artifact).model.context_length
        if plan.longest > limit:
            raise InputError(
                f"{plan.longest} tokens are asked for ({plan.steps} are decoded at each context), "
                f"{artifact} holds {limit}: give a shorter --context, --prefill or --conversation"
            )
    samples: list[list[Sample]] = [[] for _ in contenders]
    failed: dict[int, str] = {}
    order = list(enumerate(contenders))
    for turn in range(plan.rounds + 1):
        for number, contender in order:
            if number in failed:
                continue
            told(f"round {turn} of {plan.rounds}: {contender.name}" if turn else f"warming up: {contender.name}")
            try:
                sample = contender.measure(plan)
            except InputError as error:
                if not number:
                    raise
                failed[number] = str(error)
                continue
            if turn:
                samples[number].append(sample)
        order.reverse()  # so that no contender always follows the same one
    return tuple(_row(one, samples[number], failed.get(number)) for number, one in enumerate(contenders))


def _row(contender: Contender, samples: Sequence[Sample], failed: str | None) -> BenchRow:
    row = BenchRow(name=contender.name, kind=contender.kind, samples=tuple(samples), failed=failed)
    if row.kind is not Kind.ARTIFACT or not samples:
        return row
    manifest = read_manifest(contender.path)
    figures = manifest.certificate.figures if manifest.certificate else []
    graphs = [*manifest.graphs, *(one.native.graph for one in manifest.graphs if one.native)]
    graph = next((one for one in graphs if one.file == samples[0].graph), graphs[0])
    figure = next((figure for figure in figures if figure.graph == graph.file), None)
    return replace(row, cost=Cost.of(manifest, graph), figure=figure, sha256=fingerprint(contender.path))
