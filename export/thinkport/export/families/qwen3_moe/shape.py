"""Reads what `config.json` says of experts."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.errors import CheckpointError
from thinkport.export.families.config_reader import positive_int
from thinkport.export.families.shape import MixtureShape

_EXPERTS = ("num_experts", "num_local_experts")  # as published configurations call it, and transformers 5


def read_mixture(config: Mapping[str, Any]) -> MixtureShape | None:
    """The experts, and the layers that have them; None where no layer has.

    Raises:
        CheckpointError: a key is missing, isn't what it should be, or contradicts another.
    """
    layers = positive_int(config, "num_hidden_layers")
    step = positive_int({"decoder_sparse_step": 1, **config}, "decoder_sparse_step")
    dense = _dense_layers(config, layers)
    sparse = tuple(layer for layer in range(layers) if layer not in dense and (layer + 1) % step == 0)
    if not sparse:
        return None
    mixture = MixtureShape(
        layers=sparse,
        experts=positive_int(config, _EXPERTS[config.get(_EXPERTS[0]) is None and _EXPERTS[1] in config]),
        active=positive_int(config, "num_experts_per_tok"),
        intermediate_size=positive_int(config, "moe_intermediate_size"),
        normalized=bool(config.get("norm_topk_prob", False)),
    )
    if mixture.active > mixture.experts:
        raise CheckpointError(
            f"config.json: num_experts_per_tok is {mixture.active} and there are {mixture.experts} experts: it can't "
            "be more"
        )
    return mixture


def _dense_layers(config: Mapping[str, Any], layers: int) -> set[int]:
    named = config.get("mlp_only_layers") or []
    if not isinstance(named, list) or not all(type(layer) is int and 0 <= layer < layers for layer in named):
        raise CheckpointError(
            f"config.json: mlp_only_layers is {named!r}; expected a list of layers from 0 to {layers - 1}"
        )
    return set(named)
