"""Several projections of one tensor → one wide projection and a Split, so that each keeps a row range of its weight.

Cases:
    1. the query, key and value projections behind one GroupQueryAttention: packed, in the order q, k, v;
    2. silu(gate(x)) · up(x), the activation spelled out or one node: packed, in the order gate, up;
    3. projections of different tensors, and a product of anything else, are left alone.
"""

from abc import abstractmethod
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import Fusion, named_like
from thinkport.export.passes.walk import expect, made_by, maker, other, reader, silu_product, weight_of
from thinkport.export.trace.initializers import WeightSource, integers, new_weight


class PackedProjections(Fusion[tuple[str, list[ir.Node]]]):
    """A pass that packs the projections meeting at one node, once a layer; `module` names the packed one."""

    per_layer = 1
    module: ClassVar[str]

    def match(self, node: ir.Node) -> tuple[str, list[ir.Node]]:
        """The packed projection's name and the projections."""
        meeting, projections = self.projections(node)
        x = projections[0].inputs[0]
        for number, one in enumerate(projections):
            read = one.inputs[0]
            expect(read is x, one, f"reads {read and read.name}, expected {x and x.name} as {projections[0].name} does")
            expect(one not in projections[:number], one, "stands for two projections, expected one for each")
            expect(weight_of(one) is not None, one, "multiplies by no transposed weight")
        return named_like(meeting, self.module), projections

    @abstractmethod
    def projections(self, node: ir.Node) -> tuple[ir.Node, list[ir.Node]]:
        """The node where projections meet, and these in the order they are packed.

        Raises:
            MismatchError: what meets there is no projection.
        """

    def fuse(self, graph: ir.Graph, match: tuple[str, list[ir.Node]]) -> str:
        name, matmuls = match
        weights = [weight for node in matmuls if (weight := weight_of(node)) is not None]
        rows = [int(weight.shape[0]) for weight in weights if weight.shape is not None]  # type: ignore[arg-type]
        columns = int(weights[0].shape[1])  # type: ignore[index, arg-type]
        source = WeightSource(tensors=tuple(weight.name or "" for weight in weights))
        packed = new_weight(graph, f"model.{name}.weight", ir.DataType.FLOAT, (sum(rows), columns), source)
        transposed = ir.node("Transpose", [packed], {"perm": [1, 0]}, name=f"{name}.Transpose")
        matmul = ir.node("MatMul", [matmuls[0].inputs[0], transposed.outputs[0]], name=f"{name}.MatMul")
        parts = split(graph, matmul.outputs[0], rows, f"{name}.Split")
        before = [node.outputs[0] for node in matmuls]
        matmul.outputs[0].type = before[0].type
        first, new = next(node for node in graph if node in matmuls), [transposed, matmul, parts]
        ir.convenience.replace_nodes_and_values(graph, first, matmuls, new, before, parts.outputs)
        return parts.name or ""


class PackedQkv(PackedProjections):
    """Once a layer, behind the attention pass; q and k are split again because their heads are normed apart."""

    name = "packed_qkv"
    starts_at = ("GroupQueryAttention",)
    module = "qkv_proj"

    def projections(self, node: ir.Node) -> tuple[ir.Node, list[ir.Node]]:
        return node, [_projection(value, part) for value, part in zip(node.inputs[:3], "qkv", strict=True)]


def _projection(value: ir.Value | None, part: str) -> ir.Node:
    """The projection behind the norm of the heads and the reshapes around it."""
    while node := made_by(value, "Reshape") or made_by(value, "SimplifiedLayerNormalization"):
        value = node.inputs[0]
    return maker(value, f"projection of {part}", "MatMul")


class PackedGateUp(PackedProjections):
    """Once a layer."""

    name = "packed_gate_up"
    starts_at = ("Sigmoid", "QuickGelu")
    module = "gate_up_proj"

    def projections(self, node: ir.Node) -> tuple[ir.Node, list[ir.Node]]:
        gate = maker(node.inputs[0], "gate projection", "MatMul")
        activated = node if node.op_type == "QuickGelu" else silu_product(node)
        product = reader(activated, "Mul")
        return product, [gate, maker(other(product, activated.outputs[0]), "up projection", "MatMul")]


def split(graph: ir.Graph, value: ir.Value | None, sizes: list[int], name: str) -> ir.Node:
    """A Split of the last axis into parts of these sizes."""
    lengths = integers(graph, "split_" + "_".join(map(str, sizes)), sizes)
    return ir.node("Split", [value, lengths], {"axis": -1}, num_outputs=len(sizes), name=name)
