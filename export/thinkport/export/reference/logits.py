"""The checkpoint's own logits in float32, layer by layer, holding one block of one matrix at a time.

Memory: a block, the tokens' activations, and rows × vocabulary logits. It grows neither with depth nor with the
size of a matrix, so the caller bounds it by bounding tokens and rows. Knows no family.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from thinkport.export.reference.decoder import Decoder, Packed

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]

HELD_ROWS = 512  # of logits that `ReferenceLogits` holds; a text of more rows is held whole


def reference_logits(
    decoder: Decoder, layers: int, prompts: Sequence[Ids], rows: Sequence[Ids] | None = None
) -> list[Logits]:
    """Logits (rows, vocabulary) of each prompt after the positions `rows`, or after all; the arrays are views of one.

    The prompts go through the model together, so that every weight is read once.

    Raises:
        CheckpointError: a weight can't be read, or holds NaN or infinity.
    """
    kept = [np.arange(len(ids)) for ids in prompts] if rows is None else rows
    return _logits(decoder, _hidden(decoder, layers, prompts, kept))


class ReferenceLogits:
    """The checkpoint's logits of texts by name, computed when they are asked for: hidden states are what is held.

    The texts go through the layers together, and then through lm_head in groups of about `HELD_ROWS` rows. Ask for them
    in the order of the texts, or lm_head is read once for each text.
    """

    def __init__(
        self, decoder: Decoder, layers: int, texts: Mapping[str, tuple[Ids, Ids]], head: Decoder | None = None
    ) -> None:
        """Run the layers; `texts` are ids and rows by name, and `head` multiplies with lm_head, again and again.

        Raises:
            CheckpointError: a weight can't be read, or holds NaN or infinity.
        """
        self._head = head or decoder
        hidden = _hidden(decoder, layers, [ids for ids, _ in texts.values()], [rows for _, rows in texts.values()])
        self._hidden = dict(zip(texts, hidden, strict=True))
        self._held: dict[str, Logits] = {}

    def of(self, name: str) -> Logits:
        """The logits (rows, vocabulary) of a text, and of those after it meanwhile.

        Raises:
            CheckpointError: lm_head can't be read.
        """
        if name not in self._held:
            self._held = {}  # before the next group needs its memory
            names = self._group(name)
            self._held = dict(zip(names, _logits(self._head, [self._hidden[one] for one in names]), strict=True))
        return self._held[name]

    def _group(self, first: str) -> list[str]:
        names = [*self._hidden]
        behind = names[names.index(first) :]
        rows = accumulate(len(self._hidden[name]) for name in behind)
        return [name for name, total in zip(behind, rows, strict=True) if total <= HELD_ROWS or name == first]


@torch.inference_mode()
def _hidden(decoder: Decoder, layers: int, prompts: Sequence[Ids], rows: Sequence[Ids]) -> tuple[torch.Tensor, ...]:
    """Hidden states (rows, hidden) of each prompt after the last layer."""
    packed = Packed(tuple(len(ids) for ids in prompts))
    hidden = decoder.embed(torch.from_numpy(np.concatenate(prompts)))
    for index in range(layers):
        hidden = decoder.layer(index, hidden, packed)
    wanted = np.concatenate([part.start + at for part, at in zip(packed.slices, rows, strict=True)])
    return torch.split(hidden[torch.from_numpy(wanted)], [len(at) for at in rows])


@torch.inference_mode()
def _logits(decoder: Decoder, hidden: Sequence[torch.Tensor]) -> list[Logits]:
    logits: Logits = decoder.logits(torch.cat([*hidden])).numpy()
    return np.split(logits, list(accumulate(len(rows) for rows in hidden))[:-1])
