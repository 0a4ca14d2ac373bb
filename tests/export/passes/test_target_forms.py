"""What other targets take: rotary in front of attention, Q/K norms inside it, plain norms and lookups, halves.

Each pass fires in every layer, leaves others alone, refuses what it was not written for, and keeps the numbers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from tests.export.passes.graphs import fired, graph, names_of, normal, ops, run
from tests.export.passes.test_attention import attention
from tests.export.passes.test_numbers import SEQUENCE, feeds
from tests.export.trace.traced import node, random_weights, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.activations import Activations, Widened
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.contract import GraphPass
from thinkport.export.passes.last_rows import LastRows
from thinkport.export.passes.norms import PlainNorm, QkNorm, QkNormOutside, RmsNorm, SkipNorm
from thinkport.export.passes.packed_projections import PackedQkv
from thinkport.export.passes.quantized_matrices import PlainLookup
from thinkport.export.quantize.packing import dequantize, pack
from thinkport.export.trace.initializers import WeightSource, new_weight, source_of

LAYERS, PAST = 2, 5
HALF, WIDE = ir.DataType.FLOAT16, ir.DataType.FLOAT


def fused(*more: GraphPass, rotary_inside: bool = True) -> ir.Model:
    return traced(LAYERS, LastRows(), RmsNorm(per_layer=4), attention(rotary_inside=rotary_inside), CleanUp(), *more)


def logits(model: ir.Model, weights: Mapping[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Logits of every row; weights and cache are given in the types that the graph takes."""
    types = {v.name: v.dtype.numpy() for v in model.graph.inputs if v.dtype is not None}
    asked = {name: array.astype(types[name]) for name, array in given.items()}
    if "position_ids" in types:
        asked["position_ids"] = np.arange(PAST, PAST + SEQUENCE)[None]
    asked["logits_to_keep"] = np.array([SEQUENCE])
    filled = {
        name: np.concatenate([weights[part] for part in source.tensors]).astype(value.dtype.numpy())
        for name, value in model.graph.initializers.items()
        if (source := source_of(value)) is not None and value.dtype is not None
    }
    return run(model, asked, filled)["logits"]


def same_numbers(left: ir.Model, right: ir.Model, tolerance: float = 1e-4) -> None:
    weights, given = random_weights(LAYERS), feeds(PAST)
    wanted, found = (logits(model, weights, given) for model in (left, right))
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def test_rotary_stands_in_front_of_an_attention_that_does_not_rotate() -> None:
    model = fused(rotary_inside=False)
    for layer in range(LAYERS):
        made = node(model, f"layers.{layer}.self_attn.GroupQueryAttention")
        assert "do_rotary" not in made.attributes
        assert len(made.inputs) == 7  # q, k, v, past key and value, two lengths; no tables
        turned = [value.producer() for value in made.inputs[:2] if value is not None]
        assert [n.op_type for n in turned if n is not None] == ["RotaryEmbedding"] * 2
    assert [value.name for value in model.graph.inputs][:3] == ["input_ids", "attention_mask", "position_ids"]


def test_rotary_in_front_gives_the_same_numbers_as_rotary_inside() -> None:
    same_numbers(fused(), fused(rotary_inside=False))


def test_norms_inside_attention_take_the_packed_projection_whole() -> None:
    model = fused(PackedQkv(), QkNorm(), CleanUp())
    assert "Split" not in ops(model)
    assert len(names_of(model, "SimplifiedLayerNormalization")) == 2 * LAYERS + 1  # none of a head's
    made = node(model, "layers.1.self_attn.GroupQueryAttention")
    assert made.inputs[1:3] == (None, None)
    assert [value.name for value in made.inputs[14:] if value is not None] == [
        f"model.layers.1.self_attn.{part}_norm.weight" for part in "qk"
    ]
    assert made.attributes["qk_norm_epsilon"].as_float() == pytest.approx(1e-6)


@pytest.mark.parametrize("packed", [True, False])
def test_norms_put_inside_and_taken_out_again_give_the_same_numbers(packed: bool) -> None:
    before = [PackedQkv()] if packed else []
    there_and_back = fused(*before, QkNorm(), CleanUp(), QkNormOutside(head_dim=128))
    assert len(names_of(there_and_back, "SimplifiedLayerNormalization")) == 4 * LAYERS + 1
    same_numbers(fused(), there_and_back)


def test_norms_with_rotary_behind_them_are_not_taken_inside() -> None:
    with pytest.raises(GraphError, match="pass qk_norm fired 0 times in layer 0, expected 1"):
        fused(QkNorm(), rotary_inside=False)


def test_a_graph_whose_attention_does_not_normalize_is_not_undone() -> None:
    with pytest.raises(GraphError, match="pass qk_norm_outside fired 0 times in layer 0"):
        fused(QkNormOutside(head_dim=128))


NORM = """g (float16[1,3,64] x) => (float16[1,3,64] y)
{ y = SimplifiedLayerNormalization<axis=-1, epsilon=0.000001, stash_type=1>(x, w) }"""


def test_a_plain_norm_does_not_overflow_where_the_square_of_a_half_would() -> None:
    weight, x = normal(64).astype(np.float16), (normal(1, 3, 64) * 3000).astype(np.float16)
    model = graph(NORM, w=weight)
    wanted = run(model, {"x": x})["y"].astype(np.float32)
    PlainNorm(per_layer=4, activations=HALF).rewrite(model)
    assert "SimplifiedLayerNormalization" not in ops(model)
    found = run(model, {"x": x})["y"].astype(np.float32)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted, rtol=5e-3, atol=5e-3)


def test_every_norm_of_a_traced_model_is_spelled_out_and_the_numbers_stay() -> None:
    model = fused(PlainNorm(per_layer=4, activations=WIDE))
    assert "SimplifiedLayerNormalization" not in ops(model)
    same_numbers(fused(), model)


def test_norms_that_are_fused_with_additions_are_refused() -> None:
    with pytest.raises(GraphError, match="pass plain_norm fired"):
        fused(SkipNorm(), PlainNorm(per_layer=4, activations=WIDE))


def lookup(bits: int, codes: NDArray[Any], scales: NDArray[Any]) -> ir.Model:
    """A quantized lookup over ids in a table that the writer will fill in."""
    text = f"""g (int64[1,N] ids) => (float[1,N,64] y)
    {{ y = com.microsoft.GatherBlockQuantized<bits={bits}, block_size=32, gather_axis=0, quantize_axis=1>
    (table, ids, scales) }}"""
    flat = codes.reshape(len(codes), -1)
    model = graph(text, table=flat, scales=scales)
    source = WeightSource(tensors=("table",), part="codes", role="lm_head")
    table = new_weight(model.graph, "embedding.table", ir.DataType.UINT8, flat.shape, source)
    model.graph.node(0).replace_input_with(0, table)
    model.graph.node(0).name = "embedding.GatherBlockQuantized"
    return model


@pytest.mark.parametrize("bits", [4, 8])
def test_a_plain_lookup_finds_what_the_quantized_one_does(bits: int) -> None:
    plain_codes = np.random.default_rng().integers(0, 2**bits, (300, 64)).astype(np.uint8)
    codes = pack(plain_codes, bits=bits, group_size=32)
    scales = np.abs(normal(300, 2)) + np.float32(0.1)
    ids = np.random.default_rng().integers(0, 300, (1, 7))
    model = lookup(bits, codes, scales)
    assert fired(PlainLookup(), model) == 1
    CleanUp().rewrite(model)
    assert not {"GatherBlockQuantized"} & set(ops(model))
    found = run(model, {"ids": ids}, {"embedding.qweight": codes})["y"]
    np.testing.assert_allclose(found, dequantize(codes, scales, bits=bits)[ids], rtol=1e-6)


def test_a_plain_lookup_reads_the_very_codes_of_the_projection_that_it_is_tied_to() -> None:
    codes = np.zeros((16, 2, 16), np.uint8)
    model = lookup(4, codes, np.ones((16, 2), np.float32))
    source = source_of(model.graph.initializers["embedding.table"])
    assert source is not None
    head = new_weight(model.graph, "embedding.qweight", ir.DataType.UINT8, (16, 2, 16), source)
    PlainLookup().rewrite(model)
    (first,) = (n for n in model.graph if n.inputs[0] is head)
    assert first.op_type == "Gather"


def test_a_lookup_of_whole_numbers_is_left_alone() -> None:
    model = graph("g (int64[1,3] ids) => (float[1,3,8] y) { y = Gather(table, ids) }", table=normal(16, 8))
    assert PlainLookup().rewrite(model) == []
    with pytest.raises(GraphError, match="pass plain_lookup fired 0 times outside the layers"):
        PlainLookup()(model)


def test_halves_are_everywhere_but_in_the_logits() -> None:
    model = fused(Activations(dtype=HALF))
    values = [*model.graph.inputs, *model.graph.initializers.values(), *(v for n in model.graph for v in n.outputs)]
    assert [value.name for value in values if value.dtype == WIDE] == ["logits"]
    assert model.graph.outputs[0].name == "logits"
    assert model.graph.initializers["model.norm.weight"].dtype == HALF


def test_scales_of_an_int8_cache_stay_float32() -> None:
    model = fused()
    made = node(model, "layers.0.self_attn.GroupQueryAttention")
    made.resize_inputs(14)
    scale = ir.Value(name="scale", type=ir.TensorType(WIDE), const_value=ir.tensor(normal(1, 2, 1, 128)))
    model.graph.register_initializer(scale)
    made.replace_input_with(12, scale)
    Activations(dtype=HALF).rewrite(model)
    assert scale.dtype == WIDE


def test_halves_give_nearly_the_same_numbers() -> None:
    same_numbers(fused(), fused(Activations(dtype=HALF)), tolerance=0.03)


def test_bfloat16_is_widened_to_what_the_cpu_runs() -> None:
    model = fused(Activations(dtype=ir.DataType.BFLOAT16), Widened())
    assert all(v.dtype != ir.DataType.BFLOAT16 for n in model.graph for v in n.outputs)
    same_numbers(fused(), model, tolerance=0.05)


def test_a_graph_without_bfloat16_is_not_widened() -> None:
    with pytest.raises(GraphError, match="pass widened fired 0 times"):
        fused(Widened())
