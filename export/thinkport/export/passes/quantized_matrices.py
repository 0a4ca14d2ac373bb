"""Projections and the embedding in their quantized forms, and what takes the place of those forms.

Cases of `MatMulNBits`:
    1. MatMul(x, Transpose(W)) → MatMulNBits with the recipe's bits, group size and accuracy level for W's role, and
       with the bias that is added behind it where the target's operator takes one;
    2. the embedding's Gather → GatherBlockQuantized; tied to lm_head, it reads the same bytes in another shape;
    3. a matrix product of two computed tensors is left alone, and so is one of a role that is never rounded.

Cases of `PlainLookup`, GatherBlockQuantized → the same lookup in plain operators:
    1. the embedding's lookup becomes a Gather of packed codes, a Gather of the numbers that each byte stands for, and a
       product with the gathered scales; tied to lm_head, it reads lm_head's own initializer;
    2. anything else is left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import OUTSIDE, Count, GraphPass, Nodes, become, module_of, substitute
from thinkport.export.passes.walk import added_bias, weight_of
from thinkport.export.quantize.recipes import TABLES, UNROUNDED, ModelRecipe, Role, RoleRecipe
from thinkport.export.trace.initializers import WeightSource, dims, floats, integers, new_weight, source_of

_BIAS = 5  # of MatMulNBits' inputs


@dataclass(kw_only=True)
class MatMulNBits(GraphPass):
    """Every projection of the graph and the embedding.

    Operators: com.microsoft.MatMulNBits, B (N, K/group, group·bits/8) uint8, scales (N, K/group) float32, and where the
    recipe has them zero points (N, ceil(K/group·bits/8)) uint8; com.microsoft.GatherBlockQuantized, data (V, K·bits/8)
    uint8, scales (V, K/group) (docs/ContribOperators.md). Both take 2^(bits-1) as the zero point of unsigned data that
    has none. `accuracy_level` says whether the target's operator asks for one, `bias` whether it adds one, and `head`
    whether there is an lm_head beside the embedding.
    """

    name = "matmul_nbits"
    recipe: ModelRecipe
    role: Callable[[str], Role]
    per_layer: Count  # 4 packed, 7 unpacked
    tied: bool
    accuracy_level: bool = True
    bias: bool = False
    head: bool = True

    def expected(self, layers: int) -> dict[int | None, int]:
        """See `GraphPass`."""
        return super().expected(layers) | {OUTSIDE: 1 + self.head}

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        fired = []
        for node in list(model.graph):
            weight = weight_of(node) if node.op_type == "MatMul" else None
            if weight is not None and not self._is_exact(weight):
                fired.append(self._quantize(model.graph, node, weight))
            elif node.op_type == "Gather" and node.inputs[0] is not None and source_of(node.inputs[0]) is not None:
                fired.append(self._quantize(model.graph, node, node.inputs[0]))
        return fired

    def _is_exact(self, weight: ir.Value) -> bool:
        source = source_of(weight)
        return source is not None and self.role(source.tensors[0]) in UNROUNDED

    def _format(self, source: WeightSource, *, lookup: bool) -> tuple[Role, RoleRecipe]:
        role = self.role(source.tensors[0])
        if role in TABLES:
            # Tied, both read one table, stored by lm_head's row of the recipe.
            role = "lm_head" if self.tied or not lookup else "embedding"
        return role, self.recipe.of(role)

    def _quantize(self, graph: ir.Graph, old: ir.Node, weight: ir.Value) -> str:
        """Put the operator that reads a weight's codes and scales in the place of a product or a lookup."""
        source, lookup = source_of(weight), old.op_type == "Gather"
        assert source is not None
        rows, columns = dims(weight)
        role, how = self._format(source, lookup=lookup)
        how = how.for_rows(columns)
        groups, width = columns // how.group_size, how.group_size * how.bits // 8
        shape, suffix = ((rows, groups * width), "table") if lookup else ((rows, groups, width), "qweight")
        of_codes, of_scales = (replace(source, part=part, role=role) for part in ("codes", "scales"))
        stem = (weight.name or "").removesuffix(".weight")
        codes = new_weight(graph, f"{stem}.{suffix}", ir.DataType.UINT8, shape, of_codes)
        scales = new_weight(graph, f"{stem}.scales", ir.DataType.FLOAT, (rows, groups), of_scales)
        attributes = {"bits": how.bits, "block_size": how.group_size}
        if lookup:
            attributes |= {"gather_axis": 0, "quantize_axis": 1}
            return become(graph, old, "GatherBlockQuantized", [codes, old.inputs[1], scales], attributes)
        attributes = {"K": columns, "N": rows, **attributes}
        if self.accuracy_level:
            attributes["accuracy_level"] = how.accuracy_level
        inputs = [old.inputs[0], codes, scales]
        if how.points:
            width = -(-groups * how.bits // 8)
            of_points = replace(source, part="points", role=role)
            inputs.append(new_weight(graph, f"{stem}.points", ir.DataType.UINT8, (rows, width), of_points))
        added = added_bias(old) if self.bias else None
        if added is not None:
            old, bias = added
            inputs += [*[None] * (_BIAS - len(inputs)), bias]
        return become(graph, old, "MatMulNBits", inputs, attributes)


class PlainLookup(GraphPass):
    """Once, for targets without the operator, or with a wrong one: nothing of the graph falls to the CPU.

    The table is neither stored nor held a second time. It costs a few small nodes a step over a few rows.
    """

    name = "plain_lookup"
    outside = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        lookups = [node for node in model.graph if node.op_type == "GatherBlockQuantized"]
        return [_plain_lookup(model.graph, node) for node in lookups]


def _plain_lookup(graph: ir.Graph, lookup: ir.Node) -> str:
    _, ids, scales = lookup.inputs
    bits, group = (lookup.attributes[name].as_int() for name in ("bits", "block_size"))
    codes = _codes(graph, lookup)
    groups = dims(codes)[1]
    new, float32 = Nodes(module_of(lookup)), ir.DataType.FLOAT
    rows = new.make("Gather", [codes, ids], dtype=ir.DataType.UINT8)
    # int32: the kernels that take any index take this one
    places = new.make("Cast", [rows], {"to": ir.DataType.INT32.value}, dtype=ir.DataType.INT32)
    values = new.make("Gather", [_byte_values(graph, bits), places], dtype=float32)
    numbers = new.make("Reshape", [values, integers(graph, "lookup_groups", [0, 0, groups, group])], dtype=float32)
    gathered = new.make("Gather", [scales, ids], dtype=float32)
    steps = new.make("Unsqueeze", [gathered, integers(graph, "lookup_axis", [-1])], dtype=float32)
    products = new.make("Mul", [numbers, steps], dtype=float32)
    width = integers(graph, "lookup_hidden", [0, 0, groups * group])
    new.make("Reshape", [products, width])
    return substitute(graph, lookup, new.nodes)


def _codes(graph: ir.Graph, lookup: ir.Node) -> ir.Value:
    """The table's codes in the shape in which MatMulNBits reads them, (rows, groups, bytes)."""
    table, _, scales = lookup.inputs
    assert table is not None
    source, (rows, width), groups = source_of(table), dims(table), dims(scales)[1]
    assert source is not None
    name = (table.name or "").removesuffix(".table") + ".qweight"
    return new_weight(graph, name, ir.DataType.UINT8, (rows, groups, width // groups), source)


def _byte_values(graph: ir.Graph, bits: int) -> ir.Value:
    """What each byte stands for, (256, codes a byte), in units of the scale: two 4-bit codes, the low one first."""
    codes = np.arange(256)
    parts = [codes & 15, codes >> 4] if bits == 4 else [codes]
    return floats(graph, "lookup_byte_values", np.stack(parts, axis=-1) - 2 ** (bits - 1))
