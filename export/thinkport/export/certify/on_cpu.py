"""Loads a graph of any target on the CPU provider to be asked, in one session where it fits and else part by part.

Knows how much memory that may take. Must not know what is asked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from thinkport.deploy.targets import CPU
from thinkport.export.certify.asked_graph import AskedGraph, WholeGraph
from thinkport.export.certify.cpu_form import CpuForm, cpu_form
from thinkport.export.certify.derived_part import moved
from thinkport.export.certify.graph_parts import GraphPart, cut, weight_bytes
from thinkport.export.certify.part_sessions import LOADED, Supply
from thinkport.export.certify.parted_graph import HELD, PartedGraph
from thinkport.runtime.artifact.manifest import Graph, ModelShape, Prefill
from thinkport.runtime.engine.session import Session
from thinkport.runtime.machine.derived_weights import write_derived
from thinkport.runtime.machine.prefill_weights import write_entry
from thinkport.runtime.machine.threads import physical_cores
from thinkport.runtime.providers.ort import AUTO, choose_graph, import_onnxruntime

WHOLE = 2_000_000_000  # bytes of memory that a graph may take to be loaded whole

Asked = tuple[AskedGraph, str | None]
"""A loaded graph, and how it is not the one that is shipped, in words; None where it is."""


@contextmanager
def on_cpu(folder: Path, graph: Graph, model: ModelShape, whole: int = WHOLE) -> Iterator[Asked]:
    """A graph over the weights beside it, to which nothing is written.

    One that takes more memory than `whole` bytes is loaded part by part, and so is one that had to be changed, since it
    is in no file.

    Raises:
        MissingExtraError: no ONNX Runtime is installed.
        ArtifactError: the installed one can't run the graph.
        GraphError: a pass did not undo what is in every layer.
    """
    form = cpu_form(folder, graph, model)
    if form.changes or LOADED * weight_bytes(form.loaded.graph) > whole:
        yield _parted(form, model, cut(form.loaded), lambda _: nullcontext(folder), HELD)
        return
    with _session(folder, form.graph, model) as session:
        yield WholeGraph(session), None


@contextmanager
def prefill_on_cpu(folder: Path, prefill: Prefill, model: ModelShape, whole: int = WHOLE) -> Iterator[Asked]:
    """A graph for long prompts, over weights derived as on a reader's machine; as `on_cpu`."""
    form = cpu_form(folder, prefill.graph, model)
    if LOADED * weight_bytes(form.loaded.graph) > whole:
        parts = cut(form.loaded)
        yield _parted(form, model, parts, _derived(folder, prefill, parts))
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as entry:
        write_entry(prefill, folder, Path(entry), threads=physical_cores() or 1)
        with _session(Path(entry), form.graph, model) as session:
            yield WholeGraph(session), None


@contextmanager
def _session(folder: Path, graph: Graph, model: ModelShape) -> Iterator[Session]:
    ort = import_onnxruntime(CPU.name)
    session = Session(ort, folder, _runnable(ort, graph), model)
    try:
        yield session
    finally:
        session.close()  # it maps a file that may be about to go, which Windows would not let it


def _parted(form: CpuForm, model: ModelShape, parts: Sequence[GraphPart], supply: Supply, held: int = 0) -> Asked:
    ort = import_onnxruntime(CPU.name)
    graph = PartedGraph(ort, _runnable(ort, form.graph), model, parts, supply, held)
    return graph, " and ".join((*form.changes, "its layers loaded one at a time"))


def _runnable(ort: ModuleType, graph: Graph) -> Graph:
    return choose_graph([graph], AUTO, ort.get_available_providers(), ort.__version__)


def _derived(folder: Path, prefill: Prefill, parts: Sequence[GraphPart]) -> Supply:
    """Derives a part's weights alone and drops them after it."""
    derivations = {id(part): moved(part, prefill.derivation) for part in parts}

    @contextmanager
    def supply(part: GraphPart) -> Iterator[Path]:
        with TemporaryDirectory(ignore_cleanup_errors=True) as entry:
            write_derived(derivations[id(part)], folder, Path(entry), threads=physical_cores() or 1)
            yield Path(entry)

    return supply
