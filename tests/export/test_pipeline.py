"""The ordered passes: which run when, what they leave of a model of 28 layers, and what is recorded."""

import dataclasses
from itertools import pairwise

import onnx_ir as ir
import pytest
from tests.export.passes.graphs import names_of, ops
from tests.export.planned import planned
from tests.export.trace.traced import nano, node, traced
from tests.plain_recipes import PLAIN

from thinkport.deploy.targets import target
from thinkport.export.errors import GraphError
from thinkport.export.passes.contract import GraphPass
from thinkport.export.pipeline import Pipeline, run_passes
from thinkport.export.quantize.recipes import RECIPES, ModelRecipe
from thinkport.export.trace.initializers import source_of

# Of the 0.6B model in onnxruntime-genai's own builder, the cut before lm_head left out.
BEST_HAND_BUILT = 510


def pipeline(layers: int, recipe: ModelRecipe | None, *, fuse: bool = True) -> list[GraphPass]:
    family, shape = nano(layers)
    return Pipeline(family=family, shape=shape, recipe=recipe).passes(planned(fuse=fuse))


def test_unfused_and_unquantized_only_the_cut_and_the_clean_up_run() -> None:
    assert [p.name for p in pipeline(2, None, fuse=False)] == ["last_rows", "clean_up"]


def test_quantizing_comes_behind_packing_and_cleaning_last() -> None:
    order = [p.name for p in pipeline(2, PLAIN[64])]
    assert order.index("rms_norm") < order.index("attention") < order.index("packed_qkv")
    assert order.index("packed_gate_up") < order.index("matmul_nbits")
    assert order[-1] == "clean_up"


def test_28_layers_hold_no_node_that_the_best_hand_built_graph_does_not() -> None:
    model = traced(28)
    run_passes(model, pipeline(28, PLAIN[64]))
    found = {op: ops(model).count(op) for op in set(ops(model))}
    cut = [name for op in ("Sub", "Max", "Slice") for name in names_of(model, op)]
    assert len(ops(model)) - len(cut) <= BEST_HAND_BUILT
    assert found["GroupQueryAttention"] == 28
    assert found["MatMulNBits"] == 28 * 4 + 1
    assert found["SkipSimplifiedLayerNormalization"] == 28 * 2
    assert found["SimplifiedLayerNormalization"] == 28 * 2 + 1
    assert found["GatherBlockQuantized"] == 1
    assert "MatMul" not in found


@pytest.mark.parametrize("recipe", [None, *RECIPES.values()], ids=lambda r: r.name if r else "fp32")
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_every_weight_lands_exactly_once(recipe: ModelRecipe | None, fuse: bool) -> None:
    family, shape = nano(3)
    model = traced(3)
    run_passes(model, pipeline(3, recipe, fuse=fuse))
    sources = {source for v in model.graph.initializers.values() if (source := source_of(v)) is not None}
    values = [name for source in sources if source.part != "scales" for name in source.tensors]
    buffers = [] if fuse else [family.frequencies_name]  # fused, the operator has tables instead
    assert sorted(values) == sorted([*family.expected_tensors(shape), *buffers])
    codes = [source.tensors for source in sources if source.part == "codes"]
    scales = [source.tensors for source in sources if source.part == "scales"]
    assert sorted(codes) == sorted(scales)


def test_what_each_pass_did_is_recorded_the_traced_graph_first() -> None:
    model = traced(2)
    size = len(list(model.graph))
    records = run_passes(model, pipeline(2, None))
    assert [r.name for r in records] == ["traced", *(p.name for p in pipeline(2, None))]
    assert (records[0].nodes_before, records[0].nodes_after, records[0].fired) == (size, size, 0)
    for before, after in pairwise(records):
        assert after.nodes_before == before.nodes_after == sum(before.ops_after.values())
    assert records[-1].nodes_after == len(list(model.graph))
    assert {r.name: r.fired for r in records}["rms_norm"] == 2 * 4 + 1


def test_the_inputs_are_the_same_fused_or_not() -> None:
    found = []
    for fuse in (True, False):
        model = traced(2)
        run_passes(model, pipeline(2, None, fuse=fuse))
        found.append([(value.name, value.shape) for value in model.graph.inputs])
    assert found[0] == found[1]


def test_a_pass_that_misses_a_layer_fails_the_export() -> None:
    model = traced(3)
    node(model, "layers.2.self_attn.Softmax_68").op_type = "Hardmax"
    with pytest.raises(GraphError, match=r"attention fired 0 times in layer 2, expected 1.*--no-fuse"):
        run_passes(model, pipeline(3, None))


class FiresWhereItShouldNot(GraphPass):
    """A pass that declares one firing in layer 0 and fires in layer 7."""

    name = "stray"

    def expected(self, layers: int) -> dict[int | None, int]:
        return {0: 1}

    def rewrite(self, model: ir.Model) -> list[str]:
        return ["layers.0.here", "layers.7.there"]


def test_firing_where_none_is_declared_fails_too() -> None:
    with pytest.raises(GraphError, match="pass stray fired 1 times in layer 7, expected 0"):
        FiresWhereItShouldNot()(traced(2))


def test_a_target_that_no_pass_writes_for_is_refused() -> None:
    family, shape = nano(2)
    elsewhere = dataclasses.replace(target("cpu"), name="elsewhere", opset_ceiling=20)
    with pytest.raises(GraphError, match="elsewhere takes no opset 21"):
        Pipeline(family=family, shape=shape).passes(dataclasses.replace(planned(), target=elsewhere))
