"""Refuses layers that attend to a window of the context, as the configurations of several families spell it."""

from collections.abc import Mapping
from typing import Any

from thinkport.export.errors import CheckpointError, UnsupportedModelError


def refuse_windows(config: Mapping[str, Any]) -> None:
    """`sliding_window` alone is a size that nothing uses: published configurations carry it with the switch off.

    Raises:
        CheckpointError: the kinds of layers aren't a list, or not one a layer.
        UnsupportedModelError: some layer doesn't attend to the whole context.
    """
    if config.get("use_sliding_window"):
        raise UnsupportedModelError(
            f"use_sliding_window is true (a window of {config.get('sliding_window')}): "
            "sliding-window attention is not supported"
        )
    kinds = config.get("layer_types") or []
    if not isinstance(kinds, list):
        raise CheckpointError(f"config.json: layer_types is {kinds!r}; expected a list")
    others = sorted({str(kind) for kind in kinds} - {"full_attention"})
    if others:
        raise UnsupportedModelError(f"layer_types has {', '.join(others)}: only full_attention is supported")
    if kinds and len(kinds) != config.get("num_hidden_layers"):
        raise CheckpointError(
            f"config.json: layer_types lists {len(kinds)} layers and num_hidden_layers is "
            f"{config.get('num_hidden_layers')}; they must agree"
        )
