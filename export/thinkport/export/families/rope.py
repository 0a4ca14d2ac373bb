"""Rotary frequencies and their cos and sin tables, as float32 numpy arrays.

No checkpoint holds them: they are a buffer that a model computes when it is made, so an export must rebuild it.
transformers computes the frequencies, as it does for the model (`modeling_rope_utils`).
"""

import numpy as np
from numpy.typing import NDArray

from thinkport.export.families.config_reader import ROPE_KEYS
from thinkport.export.families.shape import DecoderShape

Floats = NDArray[np.float32]


def inv_freq_and_scaling(shape: DecoderShape) -> tuple[Floats, float]:
    """Angle a token of each pair of head channels, float32 (head_dim / 2,), and the factor on cos and sin."""
    from transformers import PreTrainedConfig  # here alone: sizes and roles need none
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = shape.rope
    kind = "linear" if rope.kind == "default" else rope.kind  # by a factor of 1
    named = (*ROPE_KEYS[rope.kind], "truncate") if kind == "yarn" else ROPE_KEYS[rope.kind]
    parameters = {"rope_type": kind, "rope_theta": rope.theta, "factor": rope.factor}
    parameters |= {name: value for name in named if (value := getattr(rope, name)) is not None}
    if rope.original_context is not None:
        parameters["original_max_position_embeddings"] = rope.original_context
    sizes = {"head_dim": shape.head_dim, "hidden_size": shape.hidden_size, "num_attention_heads": shape.heads}
    config = PreTrainedConfig(**sizes, max_position_embeddings=shape.context_length, rope_parameters=parameters)
    frequencies, scaling = ROPE_INIT_FUNCTIONS[kind](config, None)
    return np.asarray(frequencies.numpy(), np.float32), float(scaling)


def cos_sin_tables(shape: DecoderShape, positions: int | None = None) -> tuple[Floats, Floats]:
    """Cosine and sine of every position, each float32 (positions, head_dim / 2), scaled; by default the whole context.

    The angle is a float32 product, as transformers computes it: a more exact one would differ at far positions.
    """
    frequencies, scaling = inv_freq_and_scaling(shape)
    angles = np.outer(np.arange(positions or shape.context_length, dtype=np.float32), frequencies)
    return np.cos(angles) * np.float32(scaling), np.sin(angles) * np.float32(scaling)
