"""The layers' quantized projections → int8 matrix products with a scale a token and a scale a column.

Cases:
    1. a MatMulNBits of a layer becomes rounding by row, MatMulIntegerToFloat, a factor by row, and its bias if any;
    2. one of 8 bits stays, whose matrix matters most;
    3. one outside the layers (lm_head, which computes one row) stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.passes.contract import MICROSOFT, Count, GraphPass, Nodes, module_of, substitute
from thinkport.export.passes.walk import operand
from thinkport.export.trace.initializers import fixed, floats, integers, new_weight, source_of
from thinkport.export.trace.names import layer_of

_CODES = 127  # of the largest activation of a token
_BIAS = 5  # of MatMulNBits' inputs
_SMALLEST = 1e-20  # of a token's largest activation, so that a row of zeros has a scale


@dataclass(kw_only=True)
class RowScaledInt8(GraphPass):
    """Every projection of the layers.

    Twice as fast as MatMulNBits from 64 tokens on (measured with AVX2: 186 against 90 GMAC/s; with AVX-512 VNNI 500
    against 160). Weights are int8 (K, N) and float32 (N,) columns' scales, which no artifact holds: each machine
    derives them from MatMulNBits' own (`runtime.machine.int8_weights`). DynamicQuantizeMatMul would do it in one node,
    with one scale for all tokens of a step, which one loud token makes coarse for all others.

    Operator: com.microsoft.MatMulIntegerToFloat, A uint8 with the zero point 128 (docs/ContribOperators.md).
    """

    name = "row_scaled_int8"
    per_layer: Count

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        nodes = [
            node for node in model.graph if node.op_type == "MatMulNBits" and layer_of(node.name or "") is not None
        ]
        return [
            _spell_out(model.graph, node) if node.attributes["bits"].as_int() == 4 else node.name or ""
            for node in nodes
        ]


def _spell_out(graph: ir.Graph, old: ir.Node) -> str:
    new, x = Nodes(module_of(old)), old.inputs[0]
    weight, scales = _weight(graph, old)
    largest = new.make("Abs", [x], name="Abs_x")
    row = new.make("ReduceMax", [largest, integers(graph, "last_axis", [-1])], {"keepdims": 1}, name="ReduceMax_x")
    above = new.make("Max", [row, floats(graph, "smallest_row", _SMALLEST)], name="Max_x")
    row_scale = new.make("Mul", [above, floats(graph, "a_code", 1 / _CODES)], name="Mul_scale")
    steps = new.make("Div", [floats(graph, "codes_a_row", _CODES), above], name="Div_steps")
    scaled = new.make("Mul", [x, steps], name="Mul_x")
    unit, zero = floats(graph, "unit_scale", 1.0), fixed(graph, "code_zero", np.array(128, np.uint8))
    codes = new.make("QuantizeLinear", [scaled, unit, zero], name="QuantizeLinear_x")
    inputs = [codes, weight, unit, scales, zero]
    product = new.make("MatMulIntegerToFloat", inputs, domain=MICROSOFT, name="MatMulIntegerToFloat")
    scaled_back = new.make("Mul", [product, row_scale], name="Mul_rows")
    if (bias := operand(old, _BIAS)) is not None:
        new.make("Add", [scaled_back, bias], name="Add_bias")
    return substitute(graph, old, new.nodes)


def _weight(graph: ir.Graph, old: ir.Node) -> tuple[ir.Value, ir.Value]:
    """The int8 weight and its columns' scales that stand for a MatMulNBits' codes and scales."""
    codes = old.inputs[1]
    source = None if codes is None else source_of(codes)
    if codes is None or source is None:
        raise GraphError(f"{old.name} has no codes of a checkpoint's weight: report it with the checkpoint's name")
    rows, columns = (old.attributes[name].as_int() for name in ("N", "K"))
    stem = (codes.name or "").removesuffix(".qweight")
    weight = new_weight(graph, f"{stem}.int8", ir.DataType.INT8, (columns, rows), replace(source, part="int8"))
    of_scales = replace(source, part="int8_scales")
    return weight, new_weight(graph, f"{stem}.int8_scales", ir.DataType.FLOAT, (rows,), of_scales)
