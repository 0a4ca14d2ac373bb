"""Logits of the last rows only: a cut in front of lm_head, driven by `logits_to_keep`.

Cases:
    1. the projection that makes `logits` gets the last `logits_to_keep` rows of its input;
    2. a graph whose logits come from no projection is left alone, and the count fails the export.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass, Nodes
from thinkport.export.passes.walk import made_by, operand
from thinkport.export.trace import names
from thinkport.export.trace.initializers import integers

_TO_THE_END = np.iinfo(np.int64).max


class LastRows(GraphPass):
    """`logits_to_keep`, int64 (1,), is an input with a default of 1: a prefill computes one row of logits.

    A graph input that also has an initializer is optional, so callers that don't know it (onnxruntime-genai) work
    unchanged (ONNX IR specification, "Graphs": overridable initializers). Where the cut begins is counted from a shape:
    ONNX Runtime keeps that on the CPU, where Slice reads it, on every provider. A negative start would be computed on a
    GPU and copied back, a wait a token that also forbids capturing the graph.
    """

    name = "last_rows"
    outside = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        logits = next(value for value in graph.outputs if value.name == names.LOGITS)
        head = made_by(logits, "MatMul")
        hidden = operand(head, 0)
        if head is None or hidden is None:
            return []
        keep = integers(graph, names.LOGITS_TO_KEEP, [1])
        graph.inputs.append(keep)
        new, int64 = Nodes("lm_head"), ir.DataType.INT64
        rows = new.make("Shape", [hidden], {"start": 1, "end": 2}, dtype=int64, name="Shape")
        left = new.make("Sub", [rows, keep], dtype=int64, name="Sub")
        start = new.make("Max", [left, integers(graph, "rows_first", [0])], dtype=int64, name="Max")
        for value in (rows, left, start):
            value.shape = ir.Shape([1])
        end, axis = integers(graph, "rows_end", [_TO_THE_END]), integers(graph, "rows_axis", [1])
        cut = new.make("Slice", [hidden, start, end, axis], dtype=hidden.dtype, name="Slice_last_rows")
        head.replace_input_with(0, cut)
        graph.insert_before(head, new.nodes)
        if logits.shape is not None:
            # No literal 1, though it is the default: DirectML compiles for the shape that a value declares.
            logits.shape = ir.Shape([logits.shape[0], names.ROWS, logits.shape[2]])
        return [new.nodes[-1].name or ""]
