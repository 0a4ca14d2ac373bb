"""Which weights a dense decoder has, what each is for, and whether a checkpoint has just those.

Knows names and shapes; reads no weight.
"""

import re
from collections.abc import Mapping

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize.recipes import BIAS, NORM, Role
from thinkport.export.quantize.rotation import Branch

EMBEDDING = "model.embed_tokens.weight"
LM_HEAD = "lm_head.weight"
FINAL_NORM = "model.norm.weight"

_LAYER = re.compile(r"model\.layers\.([0-9]{1,9})\.(.+)")
_QUANTIZED = re.compile(r"\.(qweight|qzeros|scales|g_idx|weight_scale(_inv)?|weight_packed|input_scale|SCB)$")
_COMPUTED = ".rotary_emb.inv_freq"  # a buffer that old checkpoints stored; it is rebuilt from the configuration


def layer_name(layer: int, part: str, kind: str = "weight") -> str:
    """A layer's tensor, its weight or bias: `layer_name(3, "mlp.up_proj")` is `model.layers.3.mlp.up_proj.weight`."""
    return f"model.layers.{layer}.{part}.{kind}"


def bias_of(layer: int, part: str) -> str:
    """The bias of a layer's `q`, `k` or `v`."""
    return layer_name(layer, f"self_attn.{part}_proj", "bias")


def branches_of(layer: int) -> tuple[Branch, Branch]:
    """A layer's attention and its MLP."""
    readers = tuple(layer_name(layer, f"self_attn.{part}_proj") for part in "qkv")
    gate_up = (layer_name(layer, "mlp.gate_proj"), layer_name(layer, "mlp.up_proj"))
    return (
        Branch(
            norm=layer_name(layer, "input_layernorm"),
            readers=readers,
            writers=(layer_name(layer, "self_attn.o_proj"),),
        ),
        Branch(
            norm=layer_name(layer, "post_attention_layernorm"),
            readers=gate_up,
            writers=(layer_name(layer, "mlp.down_proj"),),
        ),
    )


def expected_tensors(shape: DecoderShape) -> dict[str, tuple[int, ...]]:
    """Every weight of such a model by name, matrices as (outputs, inputs)."""
    hidden = shape.hidden_size
    layer: dict[str, tuple[int, ...]] = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (shape.q_size, hidden),
        "self_attn.k_proj": (shape.kv_size, hidden),
        "self_attn.v_proj": (shape.kv_size, hidden),
        "self_attn.o_proj": (hidden, shape.q_size),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (shape.intermediate_size, hidden),
        "mlp.up_proj": (shape.intermediate_size, hidden),
        "mlp.down_proj": (hidden, shape.intermediate_size),
    }
    if shape.head_norms:
        layer |= {"self_attn.q_norm": (shape.head_dim,), "self_attn.k_norm": (shape.head_dim,)}
    expected: dict[str, tuple[int, ...]] = {EMBEDDING: (shape.vocab_size, hidden)}
    for index in range(shape.layers):
        expected |= {layer_name(index, part): size for part, size in layer.items()}
        if shape.qkv_bias:
            sizes = (shape.q_size, shape.kv_size, shape.kv_size)
            expected |= {bias_of(index, part): (size,) for part, size in zip("qkv", sizes, strict=True)}
    expected[FINAL_NORM] = (hidden,)
    if shape.head and not shape.tied:
        expected[LM_HEAD] = (shape.vocab_size, hidden)
    return expected


def role(name: str) -> Role:
    """What a weight is for.

    Raises:
        KeyError: not a weight of a dense decoder.
    """
    if name.endswith("norm.weight"):
        return NORM
    if name.endswith(".bias"):
        return BIAS
    if name == EMBEDDING:
        return "embedding"
    if name == LM_HEAD:
        return "lm_head"
    match = _LAYER.fullmatch(name)
    if match and match[2].startswith("self_attn."):
        return "attention"
    if match and match[2].startswith("mlp."):
        return "mlp"
    raise KeyError(name)


def check_weights(tensors: Mapping[str, TensorEntry], shape: DecoderShape) -> None:
    """As `check_expected`, against the weights of a dense decoder."""
    check_expected(tensors, shape, expected_tensors(shape))


def check_expected(
    tensors: Mapping[str, TensorEntry], shape: DecoderShape, expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Hold a checkpoint's tensors against the expected ones. A model that is tied or needs no lm_head may store one.

    Raises:
        CheckpointError: one is missing, has another shape, or isn't floating point: config and weights disagree.
        UnsupportedModelError: one that such a model doesn't have, such as a bias.
    """
    _check_depth(tensors, shape)
    unused = (LM_HEAD,) if shape.tied or not shape.head else ()
    for name in tensors:
        if name not in expected and name not in unused and not name.endswith(_COMPUTED):
            raise UnsupportedModelError(_unexpected(name))
    missing = [name for name in expected if name not in tensors]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        hint = "; config.json has tie_word_embeddings false" if missing == [LM_HEAD] else ""
        raise CheckpointError(f"the checkpoint lacks {missing[0]}{more}, of {len(expected)} weights{hint}")
    for name, size in expected.items():
        found = tensors[name]
        if found.shape != size:
            raise CheckpointError(
                f"config and weights disagree: {name} is {list(found.shape)} in {found.file.name}, "
                f"and config.json makes it {list(size)}"
            )
        if not found.is_float:
            raise CheckpointError(f"{name} is stored as {found.dtype}; expected BF16, F16 or F32")


def _check_depth(tensors: Mapping[str, TensorEntry], shape: DecoderShape) -> None:
    found = {int(match[1]) for name in tensors if (match := _LAYER.fullmatch(name))}
    if found and max(found) + 1 != shape.layers:
        raise CheckpointError(
            f"config and weights disagree: config.json says {shape.layers} layers, the weights have {max(found) + 1}"
        )


def _unexpected(name: str) -> str:
    if name.endswith(".bias"):
        return f"the checkpoint has a bias, {name}, which its model_type does not: such biases are not supported"
    if _QUANTIZED.search(name):
        return (
            f"the checkpoint is quantized: it has {name}, and the quantization_config of config.json does not say how "
            "to read it; fetch config.json again, or export the bf16 or fp16 checkpoint that it was made from"
        )
    return f"the checkpoint has {name}, which such a model doesn't: another architecture, or an adapter to merge first"
