"""Quantized tables within a device's largest buffer: in pieces of their rows, and held once where they are tied.

Cases:
    1. the embedding's lookup reads codes in MatMulNBits's shape, of which a tied lm_head is the other reader;
    2. a lookup in more bytes than a buffer has looks each id up in every piece, and keeps what the id's own piece gave;
    3. a product with more bytes becomes products with the pieces, whose outputs are joined;
    4. anything else is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import onnx_ir as ir

from thinkport.export.passes.contract import MICROSOFT, GraphPass, Nodes, module_of, substitute
from thinkport.export.trace.initializers import constant, dims, fixed, integers, new_weight, source_of

_TOGETHER = 64  # rows: kernels compute some together, and bytes stay aligned

Rows = tuple[int, int]
"""The first row, and the one behind the last."""


@dataclass(kw_only=True)
class RowPieces(GraphPass):
    """Once for the lookup; wide products are not counted. `most` is the bytes of a tensor that every device takes.

    Operators: com.microsoft.GatherBlockQuantized, data (V, groups, bytes) uint8, scales (V, groups, 1)
    (docs/ContribOperators.md: data of any rank, here quantized along their last axis).
    """

    name = "row_pieces"
    outside = 1
    most: int

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        fired = []
        for node in list(model.graph):
            if node.op_type == "GatherBlockQuantized":
                fired.append(self._look_up(model.graph, node))
            elif node.op_type == "MatMulNBits" and len(self._pieces(node.inputs[1])) > 1:
                self._multiply(model.graph, node)
        return fired

    def _pieces(self, codes: ir.Value | None) -> list[Rows]:
        rows, *row = dims(codes)
        most = max(1, self.most // prod(row) // _TOGETHER)  # in groups of rows
        count = -(-rows // (most * _TOGETHER))
        each = -(-rows // (count * _TOGETHER)) * _TOGETHER  # nearly as many in each
        return [(start, min(start + each, rows)) for start in range(0, rows, each)]

    def _look_up(self, graph: ir.Graph, old: ir.Node) -> str:
        table, ids, scales = old.inputs
        assert table is not None
        (_, width), (_, groups), pieces = dims(table), dims(scales), self._pieces(table)
        stem = (table.name or "").removesuffix(".table")
        bits, group = (old.attributes[name].as_int() for name in ("bits", "block_size"))
        attributes = {"bits": bits, "block_size": group, "gather_axis": 0, "quantize_axis": 2}
        new, int64 = Nodes(module_of(old)), ir.DataType.INT64
        found = None
        for start, stop in pieces:
            codes = _part(graph, table, f"{stem}.qweight", (start, stop), (groups, width // groups))
            steps = _part(graph, scales, f"{stem}.lookup_scales", (start, stop), (groups, 1))
            inside = ids
            if len(pieces) > 1:
                inside = new.make("Sub", [ids, integers(graph, f"row_{start}", start)], dtype=int64) if start else ids
                ends = [integers(graph, f"row_{row}", row) for row in (0, stop - start - 1)]
                inside = new.make("Clip", [inside, *ends], dtype=int64)
            values = new.make("GatherBlockQuantized", [codes, inside, steps], attributes, MICROSOFT, ir.DataType.FLOAT)
            if found is not None:
                places = new.make("Unsqueeze", [ids, integers(graph, "lookup_axes", [2, 3])], dtype=int64)
                here = new.make("GreaterOrEqual", [places, graph.initializers[f"row_{start}"]], dtype=ir.DataType.BOOL)
                values = new.make("Where", [here, values, found], dtype=ir.DataType.FLOAT)
            found = values
        new.make("Reshape", [found, integers(graph, "lookup_hidden", [0, 0, groups * group])])
        return substitute(graph, old, new.nodes)

    def _multiply(self, graph: ir.Graph, old: ir.Node) -> None:
        hidden, *weights = old.inputs
        attributes = {name: attribute.as_int() for name, attribute in old.attributes.items()}
        new, parts = Nodes(module_of(old)), []
        for rows in self._pieces(weights[0]):
            cut = [weight and _part(graph, weight, weight.name or "", rows, dims(weight)[1:]) for weight in weights]
            attributes["N"] = rows[1] - rows[0]
            parts.append(new.make("MatMulNBits", [hidden, *cut], attributes, MICROSOFT, ir.DataType.FLOAT))
        new.make("Concat", parts, {"axis": -1})
        substitute(graph, old, new.nodes)


def _part(graph: ir.Graph, value: ir.Value | None, name: str, rows: Rows, row: tuple[int, ...]) -> ir.Value:
    """Rows of an initializer, each in the shape `row`."""
    assert value is not None
    assert value.dtype is not None
    start, stop = rows
    whole = stop - start == dims(value)[0]
    name = name if whole else f"{name}.rows_{start}"
    source, numbers = source_of(value), constant(value)
    if source is None:
        assert numbers is not None
        return fixed(graph, name, numbers[start:stop].reshape(stop - start, *row))
    source = source if whole else replace(source, rows=rows)
    return new_weight(graph, name, value.dtype, (stop - start, *row), source)
