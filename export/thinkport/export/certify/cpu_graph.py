"""A graph of any target in a form that the CPU provider runs, so that its numbers can be held against the checkpoint.

Knows what the CPU's operators refuse. Must not know how a graph was made, nor change the file that is shipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from thinkport.deploy.targets import CPU
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.qk_norm import K_NORM
from thinkport.export.passes.qk_norm_outside import QkNormOutside
from thinkport.export.passes.widened import Widened
from thinkport.runtime.artifact.manifest import Graph, ModelShape


@dataclass(frozen=True, kw_only=True)
class CpuGraph:
    """A graph that the CPU provider runs: loaded, its record, and what was changed in it, in words."""

    loaded: ir.Model
    graph: Graph
    changes: tuple[str, ...]


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
