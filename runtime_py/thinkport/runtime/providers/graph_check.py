"""One graph of an artifact, as it runs here, against all that the artifact knows of it.

Knows the checks, and which of them a graph gets. Must not know what is remembered or done about the result.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from thinkport.runtime.artifact.certificate import GoldenScore
from thinkport.runtime.artifact.goldens import Golden, OwnGolden, read_goldens, read_own_goldens
from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.engine.session import LaneSource, Session
from thinkport.runtime.providers.attention_check import HALF, attention_errors, attention_fault
from thinkport.runtime.providers.golden_check import check_goldens, quick
from thinkport.runtime.providers.own_check import OwnResult, check_own, in_float

_LOOSELY = " with room for rounding; small errors are not seen, since an older thinkport exported the artifact"

OpenUnrounded = Callable[[], AbstractContextManager[LaneSource]]
"""Loads a graph without the rounding of its matrix products; see `unrounded`."""


@dataclass(frozen=True, kw_only=True)
class Goldens:
    """What graphs are held against: their own goldens by file, or a few of the checkpoint's where a graph has none."""

    checkpoint: Sequence[Golden]
    own: Mapping[str, OwnGolden]

    @classmethod
    def of(cls, path: Path) -> "Goldens":
        """Those of a file.

        Raises:
            ArtifactError: it is missing, damaged, or of another format.
        """
        return cls(checkpoint=quick(read_goldens(path)), own=read_own_goldens(path))

    def tokens(self, graph: Graph) -> int:
        """How many tokens a whole check of a graph runs."""
        own = self.own.get(graph.file)
        return sum(len(one.ids) for one in self.checkpoint) if own is None else len(own.golden.ids)


class GraphResult(NamedTuple):
    """What a check found, as `OwnResult` has it; `agreement` says in words how near the graph is."""

    fault: str | None
    agreement: str = ""
    widest: int | None = None
    narrowed: str | None = None


def check_graph(
    session: LaneSource,
    graph: Graph,
    goldens: Goldens,
    recorded: GoldenScore | None,
    *,
    brief: bool = False,
    unrounded: OwnResult | None = None,
) -> GraphResult:
    """Hold a loaded graph against its own golden, or in artifacts of before against the checkpoint's.

    `recorded` is its score of these at export. `brief` takes fewer tokens. `unrounded` is what `check_unrounded` found,
    whose widest step is not exceeded. A graph in float16 is off by more than an error of 1 % in one head of attention
    would make, so that its attention is held alone too.

    Raises:
        ArtifactError: the graph fails.
    """
    if unrounded is not None and unrounded.fault is not None:
        return GraphResult(f"where it does not round to int8, {unrounded.fault}")
    own = goldens.own.get(graph.file)
    if own is None:
        old = check_goldens(session, goldens.checkpoint, recorded)
        return GraphResult(old.fault, f"agrees with the checkpoint over {old.score.rows} positions,{_LOOSELY}")
    widest = unrounded.widest if unrounded else None
    found = check_own(session, own, widest or widest_of(graph), brief=brief)
    attention = None
    if graph.activations == HALF and found.fault is None and isinstance(session, Session):
        attention = attention_errors(session, found.widest)
    if attention is not None and (fault := attention_fault(attention)):
        return GraphResult(fault)
    said = f"differs by {found.distance.error:.2%} from what the graph gives in float32 over {found.rows} positions"
    if unrounded is not None:
        said += f", and by {unrounded.distance.error:.4%} where it does not round to int8"
    if attention is not None:
        said += f", and attention alone by {attention.max():.2%} in its worst head"
    narrowed = found.narrowed or (unrounded.narrowed if unrounded else None)
    return GraphResult(found.fault, said, found.widest, narrowed)


def check_unrounded(opened: OpenUnrounded, graph: Graph, goldens: Goldens, *, brief: bool = False) -> OwnResult | None:
    """Hold a graph that rounds its products against its own golden without that; None where it has no such golden.

    Raises:
        ArtifactError: the graph can't be loaded so, or fails.
    """
    own = goldens.own.get(graph.file)
    if own is None or own.spread == own.float_spread:
        return None
    with opened() as session:
        return check_own(session, in_float(own), widest_of(graph), brief=brief)


def widest_of(graph: Graph) -> int:
    """The most tokens of a step that a graph is worth on a device that is right with so many."""
    return graph.proven_chunk or graph.prefill_chunk


def pieces(widest: int | None, narrowed: str | None) -> str | None:
    """What a report says of a device that can't run wide steps; None of any other."""
    return f"prefills in pieces of {widest}: {narrowed}" if narrowed else None
