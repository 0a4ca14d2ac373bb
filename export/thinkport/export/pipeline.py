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
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.experts import Experts, QuantizedExperts
from thinkport.export.passes.int8_cache import Int8Cache
from thinkport.export.passes.last_rows import LastRows
from thinkport.export.passes.matmul_nbits import MatMulNBits
from thinkport.export.passes.norms import PlainNorm, RmsNorm, SkipNorm
from thinkport.export.passes.packed_projections import PackedGateUp, PackedQkv, Silu
from thinkport.export.passes.plain_lookup import PlainLookup
from thinkport.export.passes.prefill_attention import PrefillAttention
from thinkport.export.passes.qk_norm import QkNorm
from thinkport.export.passes.row_scaled_int8 import RowScaledInt8
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


def make_graphs(
    traced: ir.Model,
    plans: Sequence[GraphPlan],
    family: Family,
    shape: DecoderShape,
    recipe: ModelRecipe | None,
    role: Callable[[str], Role],
    kv_scales: KvScales | None,
) -> list[MadeGraph]:
    """One graph a plan; the trace itself stays as it is.

    Raises:
        GraphError: a pass did not fire as often as it declares.
    """
    made = []
    for plan in plans:
        model = traced.clone()
        records = run_passes(model, build_pipeline(family, shape, plan, recipe, kv_scales, role))
        made.append(MadeGraph(plan=plan, model=model, passes=records))
    return made


def build_pipeline(
    family: Family,
    shape: DecoderShape,
    plan: GraphPlan,
    recipe: ModelRecipe | None,
    kv_scales: KvScales | None = None,
    role: Callable[[str], Role] | None = None,
) -> list[GraphPass]:
    """The passes for one graph; its target is asked for capabilities, never for its name.

    `kv_scales` are those of an int8 cache, and needed for one. `role` says which format of the recipe a weight has; by
    default, the family's does.
    """
    if plan.target.opset_ceiling < OPSET:  # rather than write it another's graph
        raise GraphError(f"target {plan.target.name} takes no opset {OPSET}, in which graphs are written")
    norms = sum(family.role(name) == NORM for name in family.expected_tensors(shape) if layer_of(name) == 0)
    mlps = [int(not shape.has_experts(layer)) for layer in range(shape.layers)]
    made = _projections(family, shape, plan, mlps)
    passes = _experts(family, shape, mlps)
    passes.append(LastRows())  # on the traced graph too, so that all graphs have it as an input
    if plan.fuse:
        passes += _fusions(shape, plan, norms, mlps)
    if plan.kv.dtype == "int8":  # behind attention, which it finds by the fused operator
        assert kv_scales is not None
        passes.append(Int8Cache(scales=kv_scales))
    if recipe is not None:  # behind packing: a packed weight is quantized as one
        passes += _rounding(shape, plan, recipe, role or family.role, made)
    if plan.accelerates is not None:  # behind all that they replace
        passes.append(PrefillAttention(heads=shape.heads, kv_heads=shape.kv_heads, head_dim=shape.head_dim))
        passes.append(RowScaledInt8(per_layer=made))
    if plan.activations != "float32":  # behind all that makes float32 values
        passes.append(Activations(dtype=DTYPES[plan.activations]))
    if plan.plain_norms:  # behind the narrowing, in whose midst it computes in float32
        passes.append(PlainNorm(per_layer=norms, activations=DTYPES[plan.activations]))
    return [*passes, CleanUp()]


def _experts(family: Family, shape: DecoderShape, mlps: Sequence[int]) -> list[GraphPass]:
    """In front of all: the MLPs in the places of experts look like a dense decoder's."""
    if shape.mixture is None:
        return []
    sparse = [1 - mlp for mlp in mlps]
    return [Experts(per_layer=sparse, mixture=shape.mixture, tensors=family.expert_tensors), CleanUp()]


def _rounding(
    shape: DecoderShape,
    plan: GraphPlan,
    recipe: ModelRecipe,
    role: Callable[[str], Role],
    projections: Sequence[int],
) -> list[GraphPass]:
    passes: list[GraphPass] = [
        MatMulNBits(
            recipe=recipe,
            role=role,
            per_layer=projections,
            tied=shape.tied,
            accuracy_level=plan.target.accuracy_level is not None,
            bias=plan.target.matmul_bias,
        )
    ]
    if shape.mixture is not None:
        sparse = [int(shape.has_experts(layer)) for layer in range(shape.layers)]
        passes.append(QuantizedExperts(per_layer=sparse, how=recipe.of(EXPERTS)))
    if not plan.target.quantized_embedding:
        passes.append(PlainLookup())
    return passes


def _projections(family: Family, shape: DecoderShape, plan: GraphPlan, mlps: Sequence[int]) -> list[int]:
    """Quantized projections of each layer, experts apart: q, k and v become one, and gate and up another."""
    exact = {*UNROUNDED, EXPERTS}
    found = Counter(layer_of(name) for name in family.expected_tensors(shape) if family.role(name) not in exact)
    packed = [(2 * plan.target.packed_qkv + mlp) * plan.fuse for mlp in mlps]
    return [found[layer] - fewer for layer, fewer in enumerate(packed)]


def _fusions(shape: DecoderShape, plan: GraphPlan, norms: int, mlps: Sequence[int]) -> list[GraphPass]:
    target = plan.target
    passes: list[GraphPass] = [
        RmsNorm(per_layer=norms),  # before attention, which looks through the norms of its heads
        Attention(shape=shape, rotary_inside=target.rotary_in_attention),
        CleanUp(),  # the spelled-out attention would look like more readers of q, k and v
    ]
    if target.packed_qkv:
        passes.append(PackedQkv())  # finds its projections by the attention node
    if target.qk_norm_in_attention and shape.head_norms:
        passes.append(QkNorm())  # behind packing: it takes the packed projection whole
    passes += [PackedGateUp(per_layer=mlps), Silu(per_layer=mlps)]
    if not plan.plain_norms:
        passes.append(SkipNorm())  # last of the norms: it swallows additions that others match on
    return passes


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
