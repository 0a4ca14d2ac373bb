"""The ordered list of passes, and the artifact's graphs that they make of one trace.

Adding a pass is one file in `passes/` and one line here. The order carries its reasons. Knows plans; must not know
where weights lie or what a file looks like.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.families import DecoderShape, Family
from thinkport.export.passes.activations import Activations
from thinkport.export.passes.attention import Attention
from thinkport.export.passes.centered_values import CenteredValues
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.experts import Experts, QuantizedExperts
from thinkport.export.passes.headless import Headless
from thinkport.export.passes.int8_cache import Int8Cache
from thinkport.export.passes.last_rows import LastRows
from thinkport.export.passes.native import NativeAttention, NativeExperts, NativeMatrices, attends_natively
from thinkport.export.passes.norms import PlainNorm, QkNorm, RmsNorm, SkipNorm
from thinkport.export.passes.packed_projections import PackedGateUp, PackedQkv, Silu
from thinkport.export.passes.quantized_matrices import MatMulNBits, PlainLookup
from thinkport.export.passes.row_pieces import RowPieces
from thinkport.export.passes.turned_states import TurnedStates
from thinkport.export.plans import DTYPES, GraphPlan
from thinkport.export.quantize.kv_scales import KvScales
from thinkport.export.quantize.recipes import EXPERTS, NORM, UNROUNDED, ModelRecipe, Role
from thinkport.export.trace.names import OPSET, layer_of
from thinkport.runtime.artifact.manifest import PassRecord


@dataclass(frozen=True, kw_only=True)
class MadeGraph:
    """A finished graph, whose weights have no values yet, and what each pass did to it."""

    plan: GraphPlan
    model: ir.Model
    passes: list[PassRecord]


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The passes of a model's graphs.

    `role` says which format of the recipe a weight has; the family's own where it is None. `kv_scales` are those of an
    int8 cache, and needed for one. `rotation` is the number of channels of hidden states that are turned together.
    """

    family: Family
    shape: DecoderShape
    recipe: ModelRecipe | None = None
    role: Callable[[str], Role] | None = None
    kv_scales: KvScales | None = None
    rotation: int | None = None

    def graphs(self, traced: ir.Model, plans: Sequence[GraphPlan]) -> list[MadeGraph]:
        """One graph a plan; the trace itself stays as it is.

        Raises:
            GraphError: a pass did not fire as often as it declares.
        """
        made = []
        for plan in plans:
            model = traced.clone()
            made.append(MadeGraph(plan=plan, model=model, passes=run_passes(model, self.passes(plan))))
        return made

    def passes(self, plan: GraphPlan) -> list[GraphPass]:
        """The passes for one graph; its target is asked for capabilities, never for its name."""
        if plan.target.opset_ceiling < OPSET:  # rather than write it another's graph
            raise GraphError(f"target {plan.target.name} takes no opset {OPSET}, in which graphs are written")
        family, shape = self.family, self.shape
        norms = sum(family.role(name) == NORM for name in family.expected_tensors(shape) if layer_of(name) == 0)
        sparse = [int(shape.has_experts(layer)) for layer in range(shape.layers)]
        mlps = [1 - experts for experts in sparse]
        made = self._projections(plan, mlps)
        passes = self._on_trace(sparse)
        if plan.fuse:
            passes += self._fusions(plan, norms, mlps)
        if plan.kv.dtype == "int8" and not self._attends_natively(
            plan
        ):  # behind attention, which it finds by the fused operator
            passes += self._int8_cache()
        if self.recipe is not None:  # behind packing: a packed weight is quantized as one
            passes += self._rounding(plan, self.recipe, made, sparse)
        passes += self._replacing(plan, made, sparse)
        if plan.activations != "float32":  # behind all that makes float32 values
            passes.append(Activations(dtype=DTYPES[plan.activations]))
        if plan.plain_norms:  # behind the narrowing, in whose midst it computes in float32
            passes.append(PlainNorm(per_layer=norms, activations=DTYPES[plan.activations]))
        return [*passes, CleanUp()]

    def _on_trace(self, sparse: Sequence[int]) -> list[GraphPass]:
        """What makes the traced graph the model that is exported."""
        shape = self.shape
        passes: list[GraphPass] = []
        if shape.mixture is not None:  # in front of all: the MLPs in the places of experts look like a dense decoder's
            passes += [Experts(per_layer=sparse, mixture=shape.mixture, tensors=self.family.expert_tensors), CleanUp()]
        if self.rotation is not None:  # in front of what cuts the final norm's rows, or takes lm_head away
            passes.append(TurnedStates(block=self.rotation))
        passes.append(LastRows())  # on the traced graph too, so that all graphs have it as an input
        if not shape.head:  # in front of all that counts projections
            passes += [Headless(), CleanUp()]
        return passes

    def _int8_cache(self) -> list[GraphPass]:
        scales = self.kv_scales
        assert scales is not None
        if scales.centers is None:
            return [Int8Cache(scales=scales)]
        return [CenteredValues(centers=scales.centers), Int8Cache(scales=scales)]  # rounding takes additions as biases

    def _attends_natively(self, plan: GraphPlan) -> bool:
        shape = self.shape
        return plan.native_of is not None and plan.kv.dtype == "int8" and attends_natively(shape)

    def _replacing(self, plan: GraphPlan, projections: Sequence[int], sparse: Sequence[int]) -> list[GraphPass]:
        """What puts other operators in the place of the fused and rounded ones."""
        if plan.native_of is None:
            return []
        passes: list[GraphPass] = [NativeAttention()] if self._attends_natively(plan) else []
        passes.append(NativeMatrices(per_layer=projections, head=self.shape.head))
        return [*passes, NativeExperts(per_layer=sparse)] if any(sparse) else passes

    def _projections(self, plan: GraphPlan, mlps: Sequence[int]) -> list[int]:
        """Quantized projections of each layer, experts apart: q, k and v become one, and gate and up another."""
        exact, role = {*UNROUNDED, EXPERTS}, self.family.role
        found = Counter(layer_of(name) for name in self.family.expected_tensors(self.shape) if role(name) not in exact)
        packed = [(2 * plan.target.packed_qkv + mlp) * plan.fuse for mlp in mlps]
        return [found[layer] - fewer for layer, fewer in enumerate(packed)]

    def _fusions(self, plan: GraphPlan, norms: int, mlps: Sequence[int]) -> list[GraphPass]:
        target = plan.target
        passes: list[GraphPass] = [
            RmsNorm(per_layer=norms),  # before attention, which looks through the norms of its heads
            Attention(shape=self.shape, rotary_inside=target.rotary_in_attention),
            CleanUp(),  # the spelled-out attention would look like more readers of q, k and v
        ]
        if target.packed_qkv:
            passes.append(PackedQkv())  # finds its projections by the attention node
        if target.qk_norm_in_attention and self.shape.head_norms:
            passes.append(QkNorm())  # behind packing: it takes the packed projection whole
        passes += [PackedGateUp(per_layer=mlps), Silu(per_layer=mlps)]
        if not plan.plain_norms:
            passes.append(SkipNorm())  # last of the norms: it swallows additions that others match on
        return passes

    def _rounding(
        self, plan: GraphPlan, recipe: ModelRecipe, projections: Sequence[int], sparse: Sequence[int]
    ) -> list[GraphPass]:
        role, target = self.role or self.family.role, plan.target
        passes: list[GraphPass] = [
            MatMulNBits(
                recipe=recipe,
                role=role,
                per_layer=projections,
                tied=self.shape.tied,
                accuracy_level=target.accuracy_level is not None,
                bias=target.matmul_bias,
                head=self.shape.head,
            )
        ]
        if self.shape.mixture is not None:
            passes.append(QuantizedExperts(per_layer=sparse, how=recipe.of(EXPERTS)))
        if not target.quantized_embedding:
            return [*passes, PlainLookup()]
        return passes if target.buffer_bytes is None else [*passes, RowPieces(most=target.buffer_bytes)]


def run_passes(model: ir.Model, passes: Sequence[GraphPass]) -> list[PassRecord]:
    """Run every pass and record what it did, the traced graph first.

    Raises:
        GraphError: a pass did not fire as often as it declares.
    """
    records = [_record("traced", model, fired=0, before=model.graph.num_nodes())]
    for graph_pass in passes:
        before = model.graph.num_nodes()
        graph_pass(model)
        records.append(_record(graph_pass.name, model, fired=len(graph_pass.fired), before=before))
    return records


def _record(name: str, model: ir.Model, *, fired: int, before: int) -> PassRecord:
    ops = Counter(node.op_type for node in model.graph)
    return PassRecord(
        name=name, fired=fired, nodes_before=before, nodes_after=ops.total(), ops_after=dict(sorted(ops.items()))
    )
