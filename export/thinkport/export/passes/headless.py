"""Hidden states in place of logits: a model that embeds needs no lm_head.

Cases:
    1. the projection that makes `logits` goes, and its input becomes the output `last_hidden_state`;
    2. a graph whose logits come from no projection is left alone, and the count fails the export.
"""

from collections.abc import Sequence

import onnx_ir as ir

from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.walk import made_by, operand, weight_of
from thinkport.export.trace import names


class Headless(GraphPass):
    """Behind `LastRows`, so that what becomes the output is the last rows of the final norm."""

    name = "headless"
    outside = 1

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        graph = model.graph
        at, logits = next((at, value) for at, value in enumerate(graph.outputs) if value.name == names.LOGITS)
        head = made_by(logits, "MatMul")
        hidden = operand(head, 0)
        weight = None if head is None else weight_of(head)
        producer = None if hidden is None else hidden.producer()
        if head is None or hidden is None or weight is None or producer is None:
            return []
        assert logits.shape is not None
        assert weight.shape is not None
        graph.outputs[at] = hidden
        hidden.name, hidden.shape = names.HIDDEN, ir.Shape([*logits.shape[:2], weight.shape[1]])
        graph.remove(head, safe=True)
        return [producer.name or ""]
