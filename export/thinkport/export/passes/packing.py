"""Several projections of one tensor → one wide projection and a Split.

Knows how to stack weights by rows, so that each projection's weight stays a row range of the packed one. Must not
know which projections belong together; the passes that use it do.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, each_layer
from thinkport.export.passes.walk import weight_of
from thinkport.export.trace.constant import integers
from thinkport.export.trace.source import Source, new_weight


class PackedProjections(GraphPass):
    """A pass that packs the projections meeting at one node, once a layer; `module` names the packed one."""

    module: ClassVar[str]

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, 1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        fired = []
        for node in list(model.graph):
            projections = self.projections(node)
            if projections and can_pack(projections):
                name = f"{(node.name or '').rsplit('.', 1)[0]}.{self.module}"
                fired.append(pack(model.graph, projections, name))
        return fired

    @abstractmethod
    def projections(self, node: ir.Node) -> list[ir.Node]:
        """The projections that meet at `node`, in the order they are packed; empty where none do."""


def can_pack(matmuls: list[ir.Node]) -> bool:
    """Whether these are distinct `MatMul(x, Transpose(W))` of the same x."""
    same = len({node.inputs[0] for node in matmuls}) == 1 and len(set(matmuls)) == len(matmuls)
    return same and all(weight_of(node) is not None for node in matmuls)


def pack(graph: ir.Graph, matmuls: list[ir.Node], name: str) -> str:
    """Replace the projections by one, named `name` (`layers.3.self_attn.qkv_proj`), and a Split behind it."""
    weights = [weight for node in matmuls if (weight := weight_of(node)) is not None]
    rows = [int(weight.shape[0]) for weight in weights if weight.shape is not None]  # type: ignore[arg-type]
    columns = int(weights[0].shape[1])  # type: ignore[index, arg-type]
    packed = new_weight(
        graph,
        f"model.{name}.weight",
        ir.DataType.FLOAT,
        (sum(rows), columns),
        Source(tensors=tuple(weight.name or "" for weight in weights)),
    )
    transposed = ir.node("Transpose", [packed], {"perm": [1, 0]}, name=f"{name}.Transpose")
    matmul = ir.node("MatMul", [matmuls[0].inputs[0], transposed.outputs[0]], name=f"{name}.MatMul")
    sizes = integers(graph, "split_" + "_".join(map(str, rows)), rows)
    split = ir.node("Split", [matmul.outputs[0], sizes], {"axis": -1}, num_outputs=len(matmuls), name=f"{name}.Split")
    before = [node.outputs[0] for node in matmuls]
    for old, new in zip(before, split.outputs, strict=True):
        new.type, new.shape = old.type, old.shape
    matmul.outputs[0].type = before[0].type
    first = next(node for node in graph if node in matmuls)
    ir.convenience.replace_nodes_and_values(graph, first, matmuls, [transposed, matmul, split], before, split.outputs)
    return split.name or ""
