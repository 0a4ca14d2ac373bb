"""What a checkpoint computes over a short text: scales of an int8 KV cache, and the range of activations.

Knows the order of the steps. The checkpoint is streamed as it is for a certificate: one block of a matrix is held, and
one layer's keys and values.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from thinkport.export.calibrate.texts import HALF, MANY_TOKENS, calibration_texts
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.errors import CheckpointError
from thinkport.export.families import DecoderShape, Family
from thinkport.export.quantize.kv_scales import Floats, KvScales, ValueCenters, key_scales, value_scales
from thinkport.export.reference.decoder import Decoder, Loudness, Packed
from thinkport.export.reference.logits import Ids
from thinkport.export.reference.streamed_weights import StreamedWeights, streamed_bytes

QUIET = 0.25  # of the mean square of values: SmolLM2-135M has 0.01 to 0.15 in 24 of 30 layers, made-up weights 1


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured.

    Attributes:
        kv_scales: the scales of an int8 KV cache.
        loudness: the largest magnitudes of the residual stream and of what flows between the matrices.
    """

    kv_scales: KvScales
    loudness: Loudness


def calibrate(
    checkpoint: Checkpoint, family: Family, shape: DecoderShape, *, advance: Callable[[int], None]
) -> Calibration:
    """Run the checkpoint in float32 over the start of some calibration texts.

    `advance` is told the bytes of weights that are done.

    Raises:
        CheckpointError: the checkpoint can't be read, or gives keys or values that are not numbers.
        ThinkportError: the tokenizer or the chat template can't be used.
    """
    decoder = family.decoder(StreamedWeights(checkpoint=checkpoint, advance=advance), shape)
    return measured(decoder, shape.layers, calibration_texts(checkpoint, shape.vocab_size, MANY_TOKENS, HALF))


def calibrated_bytes(checkpoint: Checkpoint, shape: DecoderShape) -> int:
    """How many bytes `calibrate` reports in all: every layer's matrices in float32."""
    return streamed_bytes(checkpoint, shape.table) - 4 * shape.vocab_size * shape.hidden_size


@torch.inference_mode()
def measured(decoder: Decoder, layers: int, texts: list[Ids]) -> Calibration:
    """What a decoder computes over the texts, which go through it together.

    Raises:
        CheckpointError: a key or a value is NaN or infinite.
    """
    keys: list[Floats] = []
    values: list[Floats] = []
    centers: list[Floats] = []
    outputs: list[Floats] = []
    packed = Packed(tuple(len(ids) for ids in texts))
    usual = packed.slices[_usual(texts)].start

    def observe(key: torch.Tensor, value: torch.Tensor, attended: torch.Tensor) -> None:
        layer = len(keys)
        _check_finite(layer, {"keys": key, "values": value})
        # A first token attends to itself alone, so what it gets of attention is what o_proj makes of its own values.
        kept = quiet_first(value, usual)
        centers.append(kept * value[usual].numpy())
        outputs.append(kept * attended[usual].numpy())
        keys.append(key_scales(key.numpy()))
        values.append(value_scales(value.numpy(), centers[-1]))

    hidden = decoder.embed(torch.from_numpy(np.concatenate(texts)))
    for index in range(layers):
        hidden = decoder.layer(index, hidden, packed, observe)
    scales = KvScales(keys=keys, values=values, centers=ValueCenters(values=centers, outputs=outputs))
    return Calibration(kv_scales=scales, loudness=decoder.loudness)


def quiet_first(values: torch.Tensor, at: int) -> bool:
    """Whether a text's first token, at `at`, has values that are small beside those of all: it is one to rest on.

    Then centers are small. Large ones would cost: o_proj's product with them is exact and its weights are rounded.
    """
    return bool(values[at].square().mean() <= QUIET * values.square().mean())


def _usual(texts: list[Ids]) -> int:
    """Which text is the first of those that begin with the commonest first token, as chats do."""
    first = [int(ids[0]) for ids in texts]
    return first.index(Counter(first).most_common(1)[0][0])


def _check_finite(layer: int, states: Mapping[str, torch.Tensor]) -> None:
    for part, found in states.items():
        if not torch.isfinite(found).all():
            raise CheckpointError(
                f"layer {layer} gives {part} that are NaN or infinite in float32 over a short text: the checkpoint is "
                "damaged or its training diverged"
            )
