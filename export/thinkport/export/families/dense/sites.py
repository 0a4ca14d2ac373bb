"""Where a dense decoder's channels can be scaled without changing what it computes.

Knows which tensor makes a channel and which read it. Left out: gate's rows, which pass an activation; q's and k's,
whose channels rotary mixes and head norms level; and a tied table's columns, which an embedding looks up as they are.
"""

from thinkport.export.families.dense.weights import FINAL_NORM, LM_HEAD, layer_name
from thinkport.export.families.shape import DecoderShape
from thinkport.export.quantize.equalize import Site


def sites(shape: DecoderShape) -> list[Site]:
    """Four a layer, and lm_head's where it has a table of its own."""
    found = [site for layer in range(shape.layers) for site in _layer(layer, shape)]
    return found if shape.tied else [*found, Site(writer=FINAL_NORM, readers=(LM_HEAD,))]


def _layer(layer: int, shape: DecoderShape) -> list[Site]:
    def named(*parts: str) -> tuple[str, ...]:
        return tuple(layer_name(layer, part) for part in parts)

    norm, second_norm, value, up = named(
        "input_layernorm", "post_attention_layernorm", "self_attn.v_proj", "mlp.up_proj"
    )
    return [
        Site(writer=norm, readers=named("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        Site(
            writer=value,
            readers=named("self_attn.o_proj"),
            head_dim=shape.head_dim,
            repeats=shape.heads // shape.kv_heads,
        ),
        Site(writer=second_norm, readers=named("mlp.gate_proj", "mlp.up_proj")),
        Site(writer=up, readers=named("mlp.down_proj")),
    ]
