"""Loads a graph of any target on the CPU provider to be asked, in one session where it fits and else part by part.

Knows how much memory that may take. Must not know what is asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from thinkport.export.certify.asked_graph import AskedGraph, WholeGraph
from thinkport.export.certify.cpu_form import CPU, CpuForm, cpu_form
from thinkport.export.certify.graph_parts import GraphPart, cut, weight_bytes
from thinkport.export.certify.part_sessions import LOADED, Supply
from thinkport.export.certify.parted_graph import PartedGraph
from thinkport.runtime.derived_weights import write_derived
from thinkport.runtime.manifest import Graph, ModelShape, Prefill
from thinkport.runtime.ort import AUTO, choose_graph, import_onnxruntime
from thinkport.runtime.prefill import write_entry
from thinkport.runtime.session import Session
from thinkport.runtime.threads import physical_cores

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
        yield _parted(form, model, lambda _: nullcontext(folder))
        return
    with _session(folder, form.graph, model) as session:
        yield WholeGraph(session), None


@contextmanager
def prefill_on_cpu(folder: Path, prefill: Prefill, model: ModelShape, whole: int = WHOLE) -> Iterator[Asked]:
    """A graph for long prompts, over weights derived as on a reader's machine; as `on_cpu`."""
    form = cpu_form(folder, prefill.graph, model)
    if LOADED * weight_bytes(form.loaded.graph) > whole:
        yield _parted(form, model, _derived(folder, prefill))
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as entry:
        write_entry(prefill, folder, Path(entry), threads=physical_cores() or 1)
        with _session(Path(entry), form.graph, model) as session:
            yield WholeGraph(session), None


@contextmanager
def _session(folder: Path, graph: Graph, model: ModelShape) -> Iterator[Session]:
    ort = import_onnxruntime(CPU.extra)
    session = Session(ort, folder, _runnable(ort, graph), model)
    yield session
    session.close()  # it maps a file that is about to go, which Windows would not let it


def _parted(form: CpuForm, model: ModelShape, supply: Supply) -> Asked:
    ort = import_onnxruntime(CPU.extra)
    parts = cut(form.loaded)
    graph = PartedGraph(ort, _runnable(ort, form.graph), model, parts, supply)
    return graph, " and ".join((*form.changes, "its layers loaded one at a time"))


def _runnable(ort: ModuleType, graph: Graph) -> Graph:
    return choose_graph([graph], AUTO, ort.get_available_providers(), ort.__version__)


def _derived(folder: Path, prefill: Prefill) -> Supply:
    """Derives a part's weights alone, in the place that they have in the whole file, and drops them after it."""

    @contextmanager
    def supply(part: GraphPart) -> Iterator[Path]:
        whole = prefill.derivation
        own = whole.model_copy(
            update={
                "copies": [copy for copy in whole.copies if part.reads(copy.at)],
                "int8": [weight for weight in whole.int8 if part.reads(weight.at)],
            }
        )
        with TemporaryDirectory(ignore_cleanup_errors=True) as entry:
            write_derived(own, folder, Path(entry), threads=physical_cores() or 1)
            yield Path(entry)

    return supply
