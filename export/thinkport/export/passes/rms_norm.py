"""RMS norm spelled out → SimplifiedLayerNormalization.

Cases:
    1. weight · (x · 1/sqrt(mean(x²) + eps)), over the last axis;
    2. anything else (another axis, an exponent that is not 2) is left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, each_layer, named_like
from thinkport.export.passes.walk import made_by, made_from, operand
from thinkport.export.trace.constant import constant, scalar


@dataclass(frozen=True, kw_only=True)
class RmsNorm(GraphPass):
    """The norms of each layer, so many, and the final one.

    Operator: ONNX Runtime's SimplifiedLayerNormalization (default domain), on every provider.
    """

    name: ClassVar[str] = "rms_norm"
    norms: int

    def expected(self, layers: int) -> Mapping[int | None, int]:
        return each_layer(layers, self.norms, outside=1)

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [_fuse(model.graph, node) for node in list(model.graph) if _match(node) is not None]


def _match(node: ir.Node) -> tuple[ir.Value, ir.Value, float] | None:
    """(x, weight, epsilon) where `node` is the last multiplication of a norm."""
    if node.op_type != "Mul":
        return None
    for scaled_at in range(2):
        weight = node.inputs[1 - scaled_at]
        found = made_from(made_by(node.inputs[scaled_at], "Mul"), "Reciprocal")
        if found is None or weight is None or not weight.is_initializer():
            continue
        reciprocal, x = found
        total = made_by(operand(made_by(operand(reciprocal, 0), "Sqrt"), 0), "Add")
        mean = made_from(total, "ReduceMean")
        epsilon = None if mean is None else scalar(mean[1])
        if mean is not None and epsilon is not None and _is_mean_square(mean[0], x):
            return x, weight, epsilon
    return None


def _is_mean_square(mean: ir.Node, x: ir.Value) -> bool:
    square = made_by(operand(mean, 0), "Pow")
    axes = constant(operand(mean, 1))
    last = axes is not None and axes.tolist() == [-1]
    return last and operand(square, 0) is x and scalar(operand(square, 1)) == 2.0


def _fuse(graph: ir.Graph, node: ir.Node) -> str:
    match = _match(node)
    assert match is not None
    x, weight, epsilon = match
    norm = ir.node(
        "SimplifiedLayerNormalization",
        [x, weight],
        {"axis": -1, "epsilon": epsilon, "stash_type": 1},
        name=named_like(node, "SimplifiedLayerNormalization"),
    )
    norm.outputs[0].type, norm.outputs[0].shape = x.type, x.shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], [norm], node.outputs, norm.outputs)
    return norm.name or ""
