"""Projections of one tensor → one wide projection and a Split, so that each keeps a row range of its weight; and SiLU.

Cases:
    1. the query, key and value projections of one GroupQueryAttention: packed, in the order q, k, v, and so are their
       biases where they have them;
    2. silu(gate(x)) · up(x), the activation spelled out or one node: packed, in the order gate, up;
    3. projections of different tensors, and a product of anything else, are left alone.

Cases of `Silu`, x · sigmoid(x) → QuickGelu with alpha 1, which is SiLU:
    1. a product of a tensor and its own sigmoid;
    2. a sigmoid of something else (a gate) is left alone.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import Count, Fusion, become, named_like
from thinkport.export.passes.walk import Projection, expect, made_by, other, projection, reader, silu_product
from thinkport.export.trace.initializers import WeightSource, dims, integers, new_weight

_Packing = tuple[str, list[Projection]]


class PackedProjections(Fusion[_Packing]):
    """A pass that packs the projections meeting at one node, once a layer; `module` names the packed one."""

    per_layer: Count = 1
    module: ClassVar[str]

    def match(self, node: ir.Node) -> _Packing:
        """The packed projection's name and the projections."""
        meeting, projections = self.projections(node)
        first = projections[0].product
        x = first.inputs[0]
        for number, (one, bias, _) in enumerate(projections):
            read = one.inputs[0]
            expect(read is x, one, f"reads {read and read.name}, expected {x and x.name} as {first.name} does")
            earlier = [projection.product for projection in projections[:number]]
            expect(one not in earlier, one, "stands for two projections, expected one for each")
            alike = (bias is None) == (projections[0].bias is None)
            expect(alike, one, "has a bias and another projection has none, or the reverse")
        return named_like(meeting, self.module), projections

    @abstractmethod
    def projections(self, node: ir.Node) -> tuple[ir.Node, list[Projection]]:
        """The node where projections meet, and these in the order they are packed.

        Raises:
            MismatchError: what meets there is no projection.
        """

    def fuse(self, graph: ir.Graph, match: _Packing) -> str:
        name, projections = match
        weights = [one.weight for one in projections]
        rows, columns = [dims(weight)[0] for weight in weights], dims(weights[0])[1]
        packed = new_weight(graph, f"model.{name}.weight", ir.DataType.FLOAT, (sum(rows), columns), _stack(weights))
        transposed = ir.node("Transpose", [packed], {"perm": [1, 0]}, name=f"{name}.Transpose")
        x = projections[0].product.inputs[0]
        new = [transposed, ir.node("MatMul", [x, transposed.outputs[0]], name=f"{name}.MatMul")]
        biases = [one.bias for one in projections if one.bias is not None]
        if biases:
            bias = new_weight(graph, f"model.{name}.bias", ir.DataType.FLOAT, (sum(rows),), _stack(biases))
            new.append(ir.node("Add", [new[-1].outputs[0], bias], name=f"{name}.Add"))
        before = [one.result for one in projections]
        for node in new[1:]:
            node.outputs[0].type = before[0].type
        parts = split(graph, new[-1].outputs[0], rows, f"{name}.Split")
        old = [node for one in projections for node in dict.fromkeys((one.result.producer(), one.product)) if node]
        first = next(node for node in graph if node in old)
        ir.convenience.replace_nodes_and_values(graph, first, old, [*new, parts], before, parts.outputs)
        return parts.name or ""


def _stack(weights: Sequence[ir.Value]) -> WeightSource:
    return WeightSource(tensors=tuple(weight.name or "" for weight in weights))


class PackedQkv(PackedProjections):
    """Once a layer, behind the attention pass; q and k are split again because their heads are normed apart."""

    name = "packed_qkv"
    starts_at = ("GroupQueryAttention",)
    module = "qkv_proj"

    def projections(self, node: ir.Node) -> tuple[ir.Node, list[Projection]]:
        return node, [_projection(value, part) for value, part in zip(node.inputs[:3], "qkv", strict=True)]


def _projection(value: ir.Value | None, part: str) -> Projection:
    """The projection behind the norm of the heads and the reshapes around it."""
    while node := made_by(value, "Reshape") or made_by(value, "SimplifiedLayerNormalization"):
        value = node.inputs[0]
    return projection(value, f"projection of {part}")


@dataclass(kw_only=True)
class PackedGateUp(PackedProjections):
    """Once in each layer that has one MLP."""

    name = "packed_gate_up"
    per_layer: Count = 1
    starts_at = ("Sigmoid", "QuickGelu")
    module = "gate_up_proj"

    def projections(self, node: ir.Node) -> tuple[ir.Node, list[Projection]]:
        gate = projection(node.inputs[0], "gate projection")
        activated = node if node.op_type == "QuickGelu" else silu_product(node)
        product = reader(activated, "Mul")
        return product, [gate, projection(other(product, activated.outputs[0]), "up projection")]


def split(graph: ir.Graph, value: ir.Value | None, widths: list[int], name: str) -> ir.Node:
    """A Split of the last axis into parts of these widths."""
    lengths = integers(graph, "split_" + "_".join(map(str, widths)), widths)
    return ir.node("Split", [value, lengths], {"axis": -1}, num_outputs=len(widths), name=name)


@dataclass(kw_only=True)
class Silu(Fusion[tuple[ir.Node, ir.Node]]):
    """Once in each layer that has one MLP.

    ONNX Runtime does the same at every load; done here, the graph is smaller and loads faster.

    Operator: com.microsoft.QuickGelu (docs/ContribOperators.md): x · sigmoid(alpha · x).
    """

    name = "silu"
    per_layer: Count = 1
    starts_at = ("Sigmoid",)

    def match(self, node: ir.Node) -> tuple[ir.Node, ir.Node]:
        """The sigmoid and the product."""
        return node, silu_product(node)

    def fuse(self, graph: ir.Graph, match: tuple[ir.Node, ir.Node]) -> str:
        sigmoid, product = match
        return become(graph, product, "QuickGelu", sigmoid.inputs[:1], {"alpha": 1.0})
