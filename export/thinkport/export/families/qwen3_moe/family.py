"""Qwen3's mixture of experts as a `Family`: the dense Qwen3's attention, and layers of many small MLPs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from thinkport.export.errors import CheckpointError
from thinkport.export.families.config_reader import positive_int
from thinkport.export.families.qwen3 import Qwen3
from thinkport.export.families.qwen3_moe import weights
from thinkport.export.families.shape import DecoderShape, MixtureShape
from thinkport.export.quantize.rotation import Branch

if TYPE_CHECKING:
    import torch

    from thinkport.export.reference.decoder import Decoder
    from thinkport.export.reference.streamed_weights import StreamedWeights

_MOST_EXPERTS = 1 << 18  # of all layers together
_EXPERTS = ("num_experts", "num_local_experts")  # as published configurations call it, and transformers 5


class Qwen3Moe(Qwen3):
    """30B-A3B and 235B-A22B, and mixtures whose layers are not all sparse."""

    model_type = "qwen3_moe"
    genai_type = "qwen3"  # 0.18 refuses this family's own; it tells apart how prompts are fed, not what a graph holds
    expected_tensors = staticmethod(weights.expected_tensors)
    check_weights = staticmethod(weights.check_weights)
    role = staticmethod(weights.role)
    expert_tensors = staticmethod(weights.expert_tensors)

    def shape(self, config: Mapping[str, Any]) -> DecoderShape:
        """See `Family.shape`."""
        return replace(super().shape(config), mixture=read_mixture(config))

    def branches(self, shape: DecoderShape) -> list[Branch]:
        """See `Family.branches`; all experts of a layer and its router read one norm."""
        if shape.mixture is None:
            return super().branches(shape)
        sparse = {
            branch.norm: branch for branch in (weights.branch_of(at, shape.mixture) for at in shape.mixture.layers)
        }
        return [sparse.get(branch.norm, branch) for branch in super().branches(shape)]

    def decoder(self, streamed: "StreamedWeights", shape: DecoderShape) -> "Decoder":
        """See `Family.decoder`."""
        from thinkport.export.families.qwen3_moe.decoder import MixtureDecoder

        return MixtureDecoder(streamed, shape)

    def build_traceable(
        self, config: Mapping[str, Any], shape: DecoderShape, layers: int
    ) -> "tuple[torch.nn.Module, tuple[Any, ...]]":
        """See `Family.build_traceable`; every layer has the one MLP of a dense layer, which experts replace later."""
        return super().build_traceable({**config, "mlp_only_layers": list(range(layers))}, shape, layers)


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
    experts = positive_int(config, _EXPERTS[config.get(_EXPERTS[0]) is None and _EXPERTS[1] in config])
    if experts * len(sparse) > _MOST_EXPERTS:
        raise CheckpointError(
            f"config.json makes {len(sparse)} layers of {experts} experts; expected at most {_MOST_EXPERTS} in all: no "
            "model is that large"
        )
    mixture = MixtureShape(
        layers=sparse,
        experts=experts,
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
