"""Loads a graph of any target on the CPU provider, in one session where it fits and else part by part.

Knows what the CPU's operators refuse, how much memory a graph may take, and where weights lie; shipped files stay as
they are. Must not know how a graph was made or what it is asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import onnx_ir as ir

from thinkport.deploy.targets import CPU
from thinkport.export.certify.graph_parts import cut, weight_bytes
from thinkport.export.certify.measured_text import CHUNK
from thinkport.export.certify.parted_session import HELD, LOADED, PartedSession, PartSessions
from thinkport.export.errors import CertificateError
from thinkport.export.passes.activations import FloatProducts, Widened, rounds_activations
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.native import NATIVE
from thinkport.export.passes.norms import K_NORM, QkNormOutside
from thinkport.export.reference.logits import HELD_ROWS
from thinkport.runtime.artifact.manifest import Graph, ModelShape
from thinkport.runtime.engine.session import LaneSource, Session
from thinkport.runtime.providers.golden_check import Run, one_by_one
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import AUTO, choose_graph, import_onnxruntime

WHOLE = 2_000_000_000  # bytes of memory that a graph may take to be loaded whole


@dataclass(frozen=True, kw_only=True)
class CpuGraph:
    """A graph that the CPU provider runs: loaded, its record, and what was changed in it, in words."""

    loaded: ir.Model
    graph: Graph
    changes: tuple[str, ...]


class CpuSession(NamedTuple):
    """A loaded graph, how its steps are run, and what makes it another graph than the shipped one, in words, if any."""

    session: LaneSource
    run: Run = one_by_one
    changed: str | None = None


@contextmanager
def cpu_session(
    folder: Path, graph: Graph, model: ModelShape, *, whole: int = WHOLE, held: int = 0
) -> Iterator[CpuSession]:
    """A graph over the weights beside it, to which nothing is written.

    One that takes more memory than `whole` bytes is loaded part by part, and so is one that had to be changed, since it
    is in no file. `held` bytes of parts stay loaded from one run of steps to the next.

    Raises:
        MissingExtraError: no ONNX Runtime is installed.
        ArtifactError: the installed one can't run the graph.
        GraphError: a pass did not undo what is in every layer.
    """
    form = graph_for_cpu(folder, graph, model)
    if form.changes or LOADED * weight_bytes(form.loaded.graph) > whole:
        yield _parted(folder, form, model, held)
        return
    with _whole(folder, form, model) as session:
        yield session


def measurable(graphs: Sequence[Graph]) -> list[Graph]:
    """The graphs, and behind them their native forms where thinkport's kernels are installed and right."""
    native = [graph.native.graph for graph in graphs if graph.native]
    return [*graphs, *(native if Kernels.here().obstacle is None else [])]


class Rounding(Enum):
    """What a graph may round while it computes. A member's text says that it does not."""

    PRODUCTS = "products computed in float32"  # activations to int8, in front of a matrix product
    HALF = "float16 computed in float32"


@contextmanager
def float32_session(
    folder: Path, graph: Graph, model: ModelShape, but: Rounding | None = None
) -> Iterator[CpuSession | None]:
    """A graph that computes in float32 what it rounds as it is, `but` for one kind; None if nothing is left to change.

    A float16 KV cache becomes a float32 one, an int8 one stays.

    Raises:
        MissingExtraError: no ONNX Runtime is installed.
        ArtifactError: the installed one can't run the graph.
        GraphError: a pass did not undo what is in every layer.
    """
    form = graph_for_cpu(folder, graph, model)
    undone = _roundings(form) - {but}
    if not undone:
        yield None
        return
    here = form.graph
    if Rounding.PRODUCTS in undone:
        FloatProducts()(form.loaded)
    if Rounding.HALF in undone:
        Widened(dtype=ir.DataType.FLOAT16)(form.loaded)
        if here.kv.dtype == "float16":
            here = here.model_copy(update={"kv": here.kv.model_copy(update={"dtype": "float32"})})
    form = replace(form, graph=here, changes=(*form.changes, *(one.value for one in undone)))
    yield _parted(folder, form, model)


def roundings(folder: Path, graph: Graph, model: ModelShape) -> set[Rounding]:
    """What a graph rounds on the CPU."""
    return _roundings(graph_for_cpu(folder, graph, model))


def _roundings(form: CpuGraph) -> set[Rounding]:
    products = {Rounding.PRODUCTS} if any(map(rounds_activations, form.loaded.graph)) else set()
    return products | ({Rounding.HALF} if form.graph.activations == "float16" else set())


@contextmanager
def _whole(folder: Path, form: CpuGraph, model: ModelShape) -> Iterator[CpuSession]:
    ort, kernels = import_onnxruntime(CPU.name), _kernels_of(form)
    # It maps a file that may be about to go, which Windows would not let it.
    with closing(Session(ort, folder, _runnable(ort, form.graph), model, kernels=kernels)) as session:
        yield CpuSession(session)


def _parted(folder: Path, form: CpuGraph, model: ModelShape, held: int = 0) -> CpuSession:
    ort = import_onnxruntime(CPU.name)
    sessions = PartSessions(ort, folder, held, _kernels_of(form))
    session = PartedSession(ort, _runnable(ort, form.graph), model, cut(form.loaded), sessions)
    return CpuSession(session, session.run, " and ".join((*form.changes, "its layers loaded one at a time")))


def _kernels_of(form: CpuGraph) -> Kernels | None:
    """What a native graph is made of; None for another."""
    return Kernels.here() if any(node.domain == NATIVE for node in form.loaded.graph) else None


def _runnable(ort: ModuleType, graph: Graph) -> Graph:
    return choose_graph([graph], AUTO, ort.get_available_providers(), ort.__version__)


def graph_for_cpu(folder: Path, graph: Graph, model: ModelShape) -> CpuGraph:
    """A graph in the form to run on the CPU provider; the file is left as it is.

    Raises:
        GraphError: a pass did not undo what is in every layer.
    """
    loaded = ir.load(folder / graph.file)
    passes = dict(_needed(loaded, graph, model))
    for graph_pass in passes.values():
        graph_pass(loaded)
    here = graph if graph.target == CPU.name else _on_cpu(graph)
    return CpuGraph(loaded=loaded, graph=here, changes=tuple(passes))


def _on_cpu(graph: Graph) -> Graph:
    """The record of another target's graph on the CPU provider, with the version of ONNX Runtime that this needs."""
    known = [form.onnxruntime_floor for form in CPU.kv if form.dtype == graph.kv.dtype]
    floor = known[0] if known else CPU.kv[-1].onnxruntime_floor
    return graph.model_copy(update={"providers": list(CPU.providers), "onnxruntime_floor": floor})


def _needed(loaded: ir.Model, graph: Graph, model: ModelShape) -> Iterator[tuple[str, GraphPass]]:
    """The passes that the CPU provider needs, each by what it does, in words."""
    inside = any(len(node.inputs) > K_NORM for node in loaded.graph if node.op_type == "GroupQueryAttention")
    if inside and not CPU.qk_norm_in_attention:
        yield "Q/K norms taken out of attention", QkNormOutside(head_dim=model.head_dim)
    if graph.activations == "bfloat16":
        yield "bfloat16 computed in float32", Widened()


def certifying_bytes(weights: int, largest_part: int, vocab_size: int) -> int:
    """What a graph over so many bytes of weights takes while it is asked, `largest_part` of them in one part.

    The checkpoint's logits of a group of texts are held meanwhile, and the graph's of a step.
    """
    whole = LOADED * weights
    return int((whole if whole <= WHOLE else HELD + LOADED * largest_part) + 4 * (HELD_ROWS + CHUNK) * vocab_size)


def check_memory(needed: int, available: int) -> None:
    """Refuse to load what would not fit, before any time is spent.

    Raises:
        CertificateError: a graph needs more than the available bytes.
    """
    if needed > available:
        raise CertificateError(
            f"running the graph to certify it takes about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB "
            "are available: export with --no-certificate, or where there is more memory"
        )
