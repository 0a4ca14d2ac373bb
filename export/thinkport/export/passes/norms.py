"""RMS norms: found where they are spelled out, fused with a residual addition, and spelled out again.

Cases of `RmsNorm`, a norm spelled out → SimplifiedLayerNormalization:
    1. weight · (x · 1/sqrt(mean(x²) + eps)), over the last axis;
    2. anything else (another axis, an exponent that is not 2) is left alone.

Cases of `SkipNorm`, a residual addition and a norm → SkipSimplifiedLayerNormalization:
    1. SimplifiedLayerNormalization(a + b): one node gives the norm and the sum, which the next residual reads;
    2. a norm whose input is no sum of two computed tensors (the first layer's, the heads', a bias) is left alone.

Cases of `PlainNorm`, SimplifiedLayerNormalization → plain operators that compute in float32:
    1. weight · (x / sqrt(mean(x²) + eps)) over the last axis, cast to float32 for the squares and back after them;
    2. a norm fused with an addition is left alone: keep `SkipNorm` out of such a pipeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, Fusion, GraphPass, Nodes, module_of, named_like, substitute
from thinkport.export.passes.walk import MismatchError, expect, made_by, maker, operand, other, reader
from thinkport.export.trace.initializers import constant, floats, integers, scalar

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


class SkipNorm(Fusion[tuple[ir.Node, ir.Node]]):
    """Every norm of the residual stream but the very first, whose input is the embedding.

    Operator: com.microsoft.SkipSimplifiedLayerNormalization (docs/ContribOperators.md); its fourth output is the sum.
    """

    name = "skip_norm"
    per_layer = 2
    outside = 1
    starts_at = ("SimplifiedLayerNormalization",)

    def expected(self, layers: int) -> dict[int | None, int]:
        return super().expected(layers) | {0: 1}

    def starts(self, node: ir.Node) -> bool:
        """A norm, but not one of heads, which a Reshape has split."""
        return super().starts(node) and made_by(node.inputs[0], "Reshape") is None

    def match(self, node: ir.Node) -> tuple[ir.Node, ir.Node]:
        """The norm and the sum of two computed tensors that it reads."""
        add = maker(node.inputs[0], f"input of {node.name}", "Add")
        weights = [value.name for value in add.inputs if value is not None and value.is_initializer()]
        expect(not weights, add, f"adds {weights}, expected two computed tensors")
        return node, add

    def fuse(self, graph: ir.Graph, match: tuple[ir.Node, ir.Node]) -> str:
        norm, add = match
        fused = ir.node(
            "SkipSimplifiedLayerNormalization",
            [*add.inputs, norm.inputs[1]],
            {"epsilon": norm.attributes["epsilon"].as_float()},
            domain=MICROSOFT,
            num_outputs=4,
            name=named_like(norm, "SkipSimplifiedLayerNormalization"),
        )
        normed, mean, inverse, total = fused.outputs
        mean.name = inverse.name = ""  # not asked for
        # The sum may be read by nodes between the two, so the fused node stands where the addition stood.
        ir.convenience.replace_nodes_and_values(
            graph, add, [add, norm], [fused], [norm.outputs[0], add.outputs[0]], [normed, total]
        )
        return fused.name or ""


@dataclass(kw_only=True)
class PlainNorm(GraphPass):
    """Every norm of a graph, behind the pass that narrows activations.

    In float32: a half's square overflows from 256 on.

    For devices that compute the fused operator wrongly (issue 29739 of ONNX Runtime).
    """

    name = "plain_norm"
    outside = 1
    per_layer: int
    activations: ir.DataType

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        norms = [node for node in model.graph if node.op_type == "SimplifiedLayerNormalization"]
        return [self._spell_out(model.graph, node) for node in norms]

    def _spell_out(self, graph: ir.Graph, norm: ir.Node) -> str:
        x, weight = norm.inputs
        new, float32 = Nodes(module_of(norm)), ir.DataType.FLOAT
        wide = new.make("Cast", [x], {"to": float32.value}, dtype=float32)
        square = new.make("Mul", [wide, wide], dtype=float32)
        mean = new.make("ReduceMean", [square, integers(graph, "norm_axis", [-1])], {"keepdims": 1}, dtype=float32)
        epsilon = floats(graph, "norm_epsilon", norm.attributes["epsilon"].as_float())
        root = new.make("Sqrt", [new.make("Add", [mean, epsilon], dtype=float32)], dtype=float32)
        unit = new.make("Div", [wide, root], dtype=float32)
        narrow = new.make("Cast", [unit], {"to": self.activations.value}, dtype=self.activations)
        new.make("Mul", [narrow, weight])
        return substitute(graph, norm, new.nodes)
