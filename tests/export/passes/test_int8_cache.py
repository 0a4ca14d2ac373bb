"""A float32 cache becomes int8 where the attention is fused and the cache is the graph's own, and nowhere else."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, ops
from tests.export.passes.test_attention import attention
from tests.export.trace.traced import nano, node, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.int8_cache import Int8Cache
from thinkport.export.passes.norms import RmsNorm
from thinkport.export.quantize.kv_scales import KvScales

LAYERS = 2


def scales(layers: int = LAYERS) -> KvScales:
    _, shape = nano()
    size = (layers, shape.kv_heads, shape.head_dim)
    keys, values = np.random.default_rng().uniform(0.01, 0.1, (2, *size)).astype(np.float32)
    return KvScales(keys=list(keys), values=list(values))


def fused() -> ir.Model:
    return traced(LAYERS, RmsNorm(per_layer=4), attention(), CleanUp())


def test_every_cache_of_the_graph_becomes_int8_and_nothing_else_changes() -> None:
    model = fused()
    before = ops(model)
    assert fired(Int8Cache(scales=scales()), model) == LAYERS
    assert ops(model) == before
    for value in (*model.graph.inputs, *model.graph.outputs):
        is_cache = (value.name or "").endswith((".key", ".value"))
        assert (value.dtype == ir.DataType.INT8) == is_cache


def test_an_attention_gets_the_scales_of_its_own_layer() -> None:
    model, given = fused(), scales()
    Int8Cache(scales=given)(model)
    for layer in range(LAYERS):
        made = node(model, f"layers.{layer}.self_attn.GroupQueryAttention")
        assert len(made.inputs) == 14
        assert made.inputs[9:12] == (None, None, None)
        for index, expected in ((12, given.keys), (13, given.values)):
            scale = made.inputs[index]
            assert scale is not None
            assert scale.const_value is not None
            np.testing.assert_array_equal(scale.const_value.numpy(), expected[layer][None, :, None])
            assert model.graph.initializers[scale.name or ""] is scale
        told = {name: attribute.value for name, attribute in made.attributes.items()}
        assert (told["k_quant_type"], told["v_quant_type"]) == ("PER_CHANNEL", "PER_CHANNEL")
        assert told["kv_cache_bit_width"] == 8


def test_a_scale_that_all_channels_share_is_one_number() -> None:
    model = fused()
    together = [np.array(0.25, np.float32), np.array(0.5, np.float32)]
    Int8Cache(scales=KvScales(keys=together, values=together[::-1]))(model)
    for layer in range(LAYERS):
        made = node(model, f"layers.{layer}.self_attn.GroupQueryAttention")
        told = {name: attribute.value for name, attribute in made.attributes.items()}
        assert (told["k_quant_type"], told["v_quant_type"]) == ("PER_TENSOR", "PER_TENSOR")
        for index, expected in ((12, together[layer]), (13, together[1 - layer])):
            scale = made.inputs[index]
            assert scale is not None
            assert scale.const_value is not None
            np.testing.assert_array_equal(scale.const_value.numpy(), expected[None])


def test_attention_that_is_spelled_out_is_refused() -> None:
    with pytest.raises(GraphError, match="pass int8_cache fired 0 times in layer 0, expected 1"):
        Int8Cache(scales=scales())(traced(LAYERS, RmsNorm(per_layer=4)))


def test_a_cache_that_is_no_input_of_the_graph_is_left_alone_and_the_layer_named() -> None:
    model = fused()
    made = node(model, "layers.1.self_attn.GroupQueryAttention")
    past = made.inputs[3]
    assert past is not None
    copied = ir.node("Identity", [past], name="copy")
    copied.outputs[0].type = past.type
    made.replace_input_with(3, copied.outputs[0])
    model.graph.insert_before(made, [copied])
    with pytest.raises(GraphError, match="pass int8_cache fired 0 times in layer 1, expected 1"):
        Int8Cache(scales=scales())(model)
    assert past.dtype == ir.DataType.FLOAT
    assert len(made.inputs) == 9
