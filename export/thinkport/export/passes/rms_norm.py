"""RMS norm spelled out → SimplifiedLayerNormalization.

Cases:
    1. weight · (x · 1/sqrt(mean(x²) + eps)), over the last axis;
    2. anything else (another axis, an exponent that is not 2) is left alone.
"""

from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import Fusion, named_like, substitute
from thinkport.export.passes.walk import MismatchError, expect, maker, operand, other, reader
from thinkport.export.trace.initializers import constant, scalar

_Norm = tuple[ir.Node, ir.Value, ir.Value, float]


@dataclass(kw_only=True)
class RmsNorm(Fusion[_Norm]):
    """The norms of each layer, so many, and the final one.

    Operator: ONNX Runtime's SimplifiedLayerNormalization (default domain), on every provider.
    """

    name = "rms_norm"
    outside = 1
    starts_at = ("ReduceMean",)
    per_layer: int

    def match(self, node: ir.Node) -> _Norm:
        """The norm's last multiplication, x, weight and epsilon."""
        square = maker(node.inputs[0], "what is averaged", "Pow")
        x, axes = square.inputs[0], constant(operand(node, 1))
        expect(scalar(operand(square, 1)) == 2, square, "has another exponent, expected 2")
        expect(axes is not None and axes.tolist() == [-1], node, "averages another axis, expected the last")
        total = reader(node, "Add")
        inverse = reader(reader(total, "Sqrt"), "Reciprocal")
        scaled = reader(inverse, "Mul")
        product = reader(scaled, "Mul")
        epsilon = scalar(other(total, node.outputs[0]))
        weight = other(product, scaled.outputs[0])
        expect(other(scaled, inverse.outputs[0]) is x, scaled, "scales another tensor than the one that is squared")
        expect(weight.is_initializer(), product, f"multiplies by {weight.name}, expected a weight")
        if x is None or epsilon is None:
            raise MismatchError(f"{total.name} adds no constant, expected epsilon")
        return product, x, weight, epsilon

    def fuse(self, graph: ir.Graph, match: _Norm) -> str:
        product, x, weight, epsilon = match
        name = named_like(product, "SimplifiedLayerNormalization")
        return substitute(graph, product, [norm_node(x, weight, epsilon, name)])


def norm_node(x: ir.Value, weight: ir.Value | None, epsilon: float, name: str) -> ir.Node:
    """The fused norm over the last axis of `x`."""
    attributes = {"axis": -1, "epsilon": epsilon, "stash_type": 1}
    return ir.node("SimplifiedLayerNormalization", [x, weight], attributes, name=name)
