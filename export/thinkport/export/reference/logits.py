"""The checkpoint's own logits in float32, layer by layer, holding one block of one matrix at a time.

Memory: a block, the tokens' activations, and rows × vocabulary logits. It grows neither with depth nor with the
size of a matrix, so the caller bounds it by bounding tokens and rows. Knows no family.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from thinkport.export.reference.decoder import Decoder, Packed

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]


@torch.inference_mode()
def reference_logits(
    decoder: Decoder, layers: int, prompts: Sequence[Ids], rows: Sequence[Ids] | None = None
) -> list[Logits]:
    """Logits (rows, vocabulary) of each prompt after the positions `rows`, or after all; the arrays are views of one.

    The prompts go through the model together, so that every weight is read once.

    Raises:
        CheckpointError: a weight can't be read, or holds NaN or infinity.
    """
    packed = Packed(tuple(len(ids) for ids in prompts))
    hidden = decoder.embed(torch.from_numpy(np.concatenate(prompts)))
    for index in range(layers):
        hidden = decoder.layer(index, hidden, packed)
    kept = [np.arange(len(ids)) for ids in prompts] if rows is None else rows
    wanted = np.concatenate([part.start + at for part, at in zip(packed.slices, kept, strict=True)])
    logits: Logits = decoder.logits(hidden[torch.from_numpy(wanted)]).numpy()
    return np.split(logits, list(accumulate(len(at) for at in kept))[:-1])
