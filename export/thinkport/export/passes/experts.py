"""One MLP that was traced in the place of a layer's experts → a router and com.microsoft's MoE.

Cases:
    1. the MLP of a layer with experts: what it reads goes to the router and to the experts, and they give its output;
    2. the MLP of another layer is left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.families import ExpertTensors, MixtureShape
from thinkport.export.passes.contract import MICROSOFT, Count, GraphPass, substitute
from thinkport.export.passes.nodes import Nodes
from thinkport.export.passes.walk import weight_of
from thinkport.export.trace.initializers import WeightSource, integers, new_weight

_FLOAT = ir.DataType.FLOAT


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
        assert x.shape is not None
        hidden, inner = int(x.shape[-1]), self.mixture.intermediate_size  # type: ignore[arg-type]
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
