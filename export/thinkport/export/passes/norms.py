"""RMS norms: found where they are spelled out, fused with their neighbours, and spelled out again.

Cases of `RmsNorm`, a norm spelled out → SimplifiedLayerNormalization:
    1. weight · (x · 1/sqrt(mean(x²) + eps)), over the last axis;
    2. anything else (another axis, an exponent that is not 2) is left alone.

Cases of `SkipNorm`, a residual addition and a norm → SkipSimplifiedLayerNormalization:
    1. SimplifiedLayerNormalization(a + b): one node gives the norm and the sum, which the next residual reads;
    2. a norm whose input is no sum of two computed tensors (the first layer, the heads, a bias) is left alone.

Cases of `PlainNorm`, SimplifiedLayerNormalization → plain operators that compute in float32:
    1. weight · (x / sqrt(mean(x²) + eps)) over the last axis, cast to float32 for the squares and back after them;
    2. a norm fused with an addition is left alone: keep `SkipNorm` out of such a pipeline.

Cases of `QkNorm`, norms in front of GroupQueryAttention → inputs of it:
    1. q and k are normed head by head in front of an attention that rotates: the norms' weights become its inputs;
    2. q, k and v are the parts of one packed projection: it is taken as it is, without the Split;
    3. an attention without such norms, or with rotary in between, is left alone, and the count fails the export.

Cases of `QkNormOutside`, which undoes it to run a graph on the CPU:
    1. an attention with norm weights gets its query and key normed, head by head, in front; a packed QKV is split;
    2. an attention without them is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, Fusion, GraphPass, Nodes, module_of, named_like, substitute
from thinkport.export.passes.packed_projections import split
from thinkport.export.passes.walk import MismatchError, above, expect, made_by, maker, operand, other, reader
from thinkport.export.trace.initializers import constant, floats, integers, scalar

_Norm = tuple[ir.Node, ir.Value, ir.Value, float]
Q_NORM, K_NORM, INPUTS = 14, 15, 16
_NormedHeads = tuple[ir.Node, list[ir.Node], list[ir.Value]]


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


class QkNorm(Fusion[_NormedHeads]):
    """Once a layer, behind packing.

    Operator: com.microsoft.GroupQueryAttention, `q_norm_weight` and `k_norm_weight` (head_dim,) of the activations'
    type, applied before rotary; its query may be the packed QKV (docs/ContribOperators.md).
    """

    name = "qk_norm"
    per_layer = 1
    starts_at = ("GroupQueryAttention",)

    def match(self, node: ir.Node) -> _NormedHeads:
        """The attention, the norms of its heads, and what they norm before it is split into heads."""
        norms = [
            maker(above(value, "heads", "Reshape"), "heads", "SimplifiedLayerNormalization")
            for value in node.inputs[:2]
        ]
        return node, norms, [above(norm.inputs[0], "input of a head's norm", "Reshape") for norm in norms]

    def fuse(self, graph: ir.Graph, match: _NormedHeads) -> str:
        attention, norms, (query, key) = match
        attention.resize_inputs(INPUTS)
        for index, norm in zip((Q_NORM, K_NORM), norms, strict=True):
            attention.replace_input_with(index, norm.inputs[1])
        epsilon = norms[0].attributes["epsilon"].as_float()
        attention.attributes["qk_norm_epsilon"] = ir.AttrFloat32("qk_norm_epsilon", epsilon)
        parts: list[ir.Value | None] = [query, key, attention.inputs[2]]
        split = made_by(query, "Split")
        if split is not None and parts == list(split.outputs):
            parts = [split.inputs[0], None, None]
        for index, value in enumerate(parts):
            attention.replace_input_with(index, value)
        return attention.name or ""


@dataclass(kw_only=True)
class QkNormOutside(GraphPass):
    """Once a layer of a finished graph: the CPU's GroupQueryAttention refuses inputs 14 and 15."""

    name = "qk_norm_outside"
    per_layer = 1
    head_dim: int

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        attentions = [node for node in model.graph if node.op_type == "GroupQueryAttention" and _normalizes(node)]
        for node in attentions:
            self._move_out(model.graph, node)
        return [node.name or "" for node in attentions]

    def _move_out(self, graph: ir.Graph, attention: ir.Node) -> None:
        new: list[ir.Node] = []
        epsilon = attention.attributes.pop("qk_norm_epsilon").as_float()
        parts = self._parts(graph, attention, new)
        for index, (part, at) in enumerate((("q", Q_NORM), ("k", K_NORM))):
            norm = self._norm(graph, parts[index], attention.inputs[at], epsilon, f"{attention.name}_{part}")
            parts[index] = norm[-1].outputs[0]
            new += norm
        for index, value in enumerate(parts):
            attention.replace_input_with(index, value)
        attention.resize_inputs(Q_NORM)
        graph.insert_before(attention, new)

    def _parts(self, graph: ir.Graph, attention: ir.Node, new: list[ir.Node]) -> list[ir.Value | None]:
        if attention.inputs[1] is not None:
            return list(attention.inputs[:3])
        heads, kv_heads = (attention.attributes[name].as_int() for name in ("num_heads", "kv_num_heads"))
        rows = [count * self.head_dim for count in (heads, kv_heads, kv_heads)]
        new.append(split(graph, attention.inputs[0], rows, f"{attention.name}_Split"))
        return list(new[-1].outputs)

    def _norm(
        self, graph: ir.Graph, value: ir.Value | None, weight: ir.Value | None, epsilon: float, name: str
    ) -> list[ir.Node]:
        apart = integers(graph, "split_heads_shape", [0, 0, -1, self.head_dim])
        together = integers(graph, "merge_heads_shape", [0, 0, -1])
        heads = ir.node("Reshape", [value, apart], name=f"{name}_Reshape_split")
        norm = norm_node(heads.outputs[0], weight, epsilon, f"{name}_SimplifiedLayerNormalization")
        return [heads, norm, ir.node("Reshape", [norm.outputs[0], together], name=f"{name}_Reshape_merge")]


def _normalizes(attention: ir.Node) -> bool:
    return len(attention.inputs) > K_NORM and attention.inputs[Q_NORM] is not None
