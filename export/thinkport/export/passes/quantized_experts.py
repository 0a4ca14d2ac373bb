"""MoE → QMoE: the experts' matrices in their quantized forms.

Cases:
    1. every MoE gets the recipe's bits and group size; the router stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.passes.contract import Count, GraphPass, become
from thinkport.export.quantize.recipes import EXPERTS, RoleRecipe
from thinkport.export.trace.initializers import new_weight, source_of

_RAW = 0  # `weights_prepacked`: codes lie as MatMulNBits has them, an expert after the other


@dataclass(kw_only=True)
class QuantizedExperts(GraphPass):
    """Once in each layer with experts. Only the chosen ones are computed, from their codes.

    Operator: com.microsoft.QMoE, weights (experts, N, K·bits/8) uint8, scales (experts, N, K/group) float32, symmetric
    (docs/ContribOperators.md). Measured with 1.32 on the CPU: experts of 377 MB take 533 MB of memory, as much a byte
    as in MatMulNBits, and no more while they run.
    """

    name = "quantized_experts"
    per_layer: Count
    how: RoleRecipe

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [self._quantize(model.graph, node) for node in list(model.graph) if node.op_type == "MoE"]

    def _quantize(self, graph: ir.Graph, old: ir.Node) -> str:
        x, logits, into, _, out = old.inputs
        attributes = {name: attribute.value for name, attribute in old.attributes.items()} | {
            "expert_weight_bits": self.how.bits,
            "block_size": self.how.group_size,
            "accuracy_level": self.how.accuracy_level,
            "weights_prepacked": _RAW,
        }
        inputs = [x, logits, *self._stored(graph, into), None, *self._stored(graph, out)]
        return become(graph, old, "QMoE", inputs, attributes)

    def _stored(self, graph: ir.Graph, weight: ir.Value | None) -> tuple[ir.Value, ir.Value]:
        """Codes and scales that stand for the matrices of all experts."""
        source = None if weight is None else source_of(weight)
        if weight is None or source is None or weight.shape is None:
            raise GraphError("a mixture has no experts of a checkpoint: report it with the checkpoint's name")
        experts, rows, columns = (int(dim) for dim in weight.shape)  # type: ignore[arg-type]
        of_codes, of_scales = (replace(source, part=part, role=EXPERTS) for part in ("codes", "scales"))
        width, groups = columns * self.how.bits // 8, columns // self.how.group_size
        codes = new_weight(graph, f"{weight.name}.qweight", ir.DataType.UINT8, (experts, rows, width), of_codes)
        return codes, new_weight(graph, f"{weight.name}.scales", ir.DataType.FLOAT, (experts, rows, groups), of_scales)
