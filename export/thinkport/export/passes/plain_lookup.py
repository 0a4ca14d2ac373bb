"""GatherBlockQuantized → the same lookup in plain operators, over the very codes that a projection reads.

Cases:
    1. the embedding's lookup becomes a Gather of packed codes, a Gather of the numbers that each byte stands for, and a
       product with the gathered scales; tied to lm_head, it reads lm_head's own initializer;
    2. anything else is left alone.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, Nodes, module_of, substitute
from thinkport.export.trace.initializers import dims, floats, integers, new_weight, source_of


class PlainLookup(GraphPass):
    """Once, for targets without the operator: all of it runs there, so that nothing of the graph falls to the CPU.

    The table is neither stored nor held a second time. It costs a few small nodes a step over a few rows.
    """

    name = "plain_lookup"
    outside = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        lookups = [node for node in model.graph if node.op_type == "GatherBlockQuantized"]
        return [_spell_out(model.graph, node) for node in lookups]


def _spell_out(graph: ir.Graph, lookup: ir.Node) -> str:
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
