"""A mixture of experts: com.microsoft's MoE in place of one traced MLP, then QMoE.

Cases of `Experts`, the MLP that was traced in place of a layer's experts → a router and MoE:
    1. the MLP of a layer with experts: its input goes to the router and to the experts, whose output replaces its own;
    2. the MLP of another layer is left alone.

Cases of `QuantizedExperts`, MoE → QMoE, with the experts' matrices in their quantized forms:
    1. every MoE gets the recipe's bits and group size; the router stays as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.families import ExpertTensors, MixtureShape
from thinkport.export.passes.contract import MICROSOFT, Count, GraphPass, Nodes, become, substitute
from thinkport.export.passes.walk import weight_of
from thinkport.export.quantize.recipes import EXPERTS, RoleRecipe
from thinkport.export.trace.initializers import WeightSource, dims, integers, new_weight, source_of

_FLOAT = ir.DataType.FLOAT


_RAW = 0  # `weights_prepacked`: codes lie as MatMulNBits has them, an expert after the other


@dataclass(kw_only=True)
class Experts(GraphPass):
    """Once in each layer with experts, on the traced graph; what is left of the MLP has no reader.

    Operator: com.microsoft.MoE (docs/ContribOperators.md). It takes the router's logits, takes the softmax itself and
    divides the chosen shares by their sum. `swiglu` with alpha 1 and beta 0 is silu(gate) · up, whose rows alternate:
    the CPU's kernel takes no other order (measured with 1.32).
    """

    name = "experts"
    per_layer: Count
    mixture: MixtureShape
    tensors: Callable[[int, MixtureShape], ExpertTensors]

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        found = {weight.name: node for node in model.graph if (weight := weight_of(node)) is not None}
        fired = []
        for layer in self.mixture.layers:
            gate, down = (found.get(f"model.layers.{layer}.mlp.{part}_proj.weight") for part in ("gate", "down"))
            if gate is not None and down is not None:
                fired.append(self._replace(model.graph, layer, gate.inputs[0], down))
        return fired

    def _replace(self, graph: ir.Graph, layer: int, x: ir.Value | None, down: ir.Node) -> str:
        assert x is not None
        hidden, inner = dims(weight_of(down))[0], self.mixture.intermediate_size
        names, new = self.tensors(layer, self.mixture), Nodes(f"layers.{layer}.mlp")
        logits = self._router(graph, new, x, names.router, hidden)
        rows = new.make("Reshape", [logits, integers(graph, "router_rows", [-1, self.mixture.experts])], dtype=_FLOAT)
        gates_and_ups = WeightSource(tensors=names.gates_and_ups, per_matrix=2, interleaved=True)
        stem, experts = f"model.layers.{layer}.mlp.experts", self.mixture.experts
        into = new_weight(graph, f"{stem}.gate_up_proj", _FLOAT, (experts, 2 * inner, hidden), gates_and_ups)
        downs = WeightSource(tensors=names.downs, per_matrix=1)
        out = new_weight(graph, f"{stem}.down_proj", _FLOAT, (experts, hidden, inner), downs)
        mixed = new.make("MoE", [x, rows, into, None, out], self._attributes, MICROSOFT, _FLOAT, name="MoE")
        mixed.shape = x.shape
        fired = new.nodes[-1].name or ""
        if not self.mixture.normalized:
            self._scale(graph, new, mixed, logits)
        substitute(graph, down, new.nodes)
        return fired

    def _router(self, graph: ir.Graph, new: Nodes, x: ir.Value, name: str, hidden: int) -> ir.Value:
        """The experts' logits (batch, sequence, experts), float32."""
        weight = new_weight(graph, name, _FLOAT, (self.mixture.experts, hidden), WeightSource(tensors=(name,)))
        turned = new.make("Transpose", [weight], {"perm": [1, 0]}, dtype=_FLOAT, name="gate.Transpose")
        return new.make("MatMul", [x, turned], dtype=_FLOAT, name="gate.MatMul")

    @property
    def _attributes(self) -> dict[str, int | float | str | list[int]]:
        return {
            "k": self.mixture.active,
            "normalize_routing_weights": 1,
            "activation_type": "swiglu",
            "activation_alpha": 1.0,
            "activation_beta": 0.0,
            "swiglu_fusion": 1,
        }

    def _scale(self, graph: ir.Graph, new: Nodes, mixed: ir.Value, logits: ir.Value) -> None:
        """Undo the division: QMoE divides whatever it is asked for (measured with 1.32)."""
        shares = new.make("Softmax", [logits], {"axis": -1}, dtype=_FLOAT, name="gate.Softmax")
        active = integers(graph, "active_experts", [self.mixture.active])
        chosen = new.make("TopK", [shares, active], {"axis": -1}, dtype=_FLOAT, name="gate.TopK", outputs=2)
        axis = integers(graph, "last_axis", [-1])
        total = new.make("ReduceSum", [chosen, axis], {"keepdims": 1}, dtype=_FLOAT, name="gate.ReduceSum")
        new.make("Mul", [mixed, total], dtype=_FLOAT, name="Mul_shares")


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
