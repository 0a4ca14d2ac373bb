"""What older configurations of dense decoders leave out, with the values that such models were trained with."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.errors import CheckpointError
from thinkport.export.families.config_reader import positive_int


def with_defaults(config: Mapping[str, Any], *, rope_theta: float) -> dict[str, Any]:
    """The configuration, with values for the keys that are absent or null; `rope_theta` is the family's.

    Raises:
        CheckpointError: the size of a head is missing, and heads don't divide the width.
    """
    hidden, heads = positive_int(config, "hidden_size"), positive_int(config, "num_attention_heads")
    values = {
        "num_key_value_heads": heads,
        "head_dim": hidden // heads,
        "tie_word_embeddings": False,
        "rope_theta": rope_theta,
    }
    missing = {key: value for key, value in values.items() if config.get(key) is None}
    if "head_dim" in missing and hidden % heads:
        raise CheckpointError(
            f"config.json: {heads} attention heads can't share a hidden_size of {hidden} evenly, and head_dim is "
            "missing; expected one of the three to be another"
        )
    return {**config, **missing}
