"""A graph of any target in a form that the CPU provider runs, so that its numbers can be held against the checkpoint.

Knows what the CPU's operators refuse. Must not know how a graph was made, nor change the file that is shipped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir

from thinkport.deploy.targets import target
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.qk_norm import K_NORM
from thinkport.export.passes.qk_norm_outside import QkNormOutside
from thinkport.export.passes.widened import Widened
from thinkport.runtime.manifest import Graph, ModelShape

CPU = target("cpu")
_FORM = "on-cpu.onnx"  # beside the weights while it is measured


@contextmanager
def cpu_form(folder: Path, graph: Graph, model: ModelShape) -> Iterator[tuple[Graph, str | None]]:
    """The graph to run on the CPU provider, and what was changed in it; None where it is the file as it is.

    Raises:
        GraphError: a pass did not undo what is in every layer.
    """
    here = graph if graph.target == CPU.name else _on_cpu(graph)
    loaded = ir.load(folder / graph.file)
    passes = dict(_needed(loaded, graph, model))
    if not passes:
        yield here, None
        return
    for graph_pass in passes.values():
        graph_pass.run(loaded, model.layers)
    ir.save(loaded, folder / _FORM)
    try:
        yield here.model_copy(update={"file": _FORM}), " and ".join(passes)
    finally:
        (folder / _FORM).unlink()


def _on_cpu(graph: Graph) -> Graph:
    """Another target's graph, whose own floor speaks of its own provider's build."""
    known = [form.onnxruntime_floor for form in CPU.kv if form.dtype == graph.kv.dtype]
    floor = known[0] if known else CPU.kv[-1].onnxruntime_floor
    return graph.model_copy(update={"providers": list(CPU.providers), "onnxruntime_floor": floor})


def _needed(loaded: ir.Model, graph: Graph, model: ModelShape) -> Iterator[tuple[str, GraphPass]]:
    """The passes that make the CPU take it, each by what it does, in words."""
    inside = any(len(node.inputs) > K_NORM for node in loaded.graph if node.op_type == "GroupQueryAttention")
    if inside and not CPU.qk_norm_in_attention:
        yield "Q/K norms taken out of attention", QkNormOutside(head_dim=model.head_dim)
    if graph.activations == "bfloat16":
        yield "bfloat16 computed in float32", Widened()
