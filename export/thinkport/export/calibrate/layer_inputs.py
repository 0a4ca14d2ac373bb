"""The inputs of every matrix of a checkpoint over the calibration texts, one layer at a time, lm_head last.

Knows a decoder's layers, in order. Inputs of one layer are held, and the float32 activations between layers.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from thinkport.export.calibrate.texts import MANY_TOKENS, calibration_texts
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.families import DecoderShape, Family
from thinkport.export.quantize.kv_scales import Floats
from thinkport.export.quantize.recipes import TABLES
from thinkport.export.reference.decoder import Packed
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.export.trace.names import layer_of

FEWEST = 64  # tokens, from which the inputs of a matrix say something about its columns: an expert may get fewer


@dataclass(frozen=True, kw_only=True)
class _Listening(StreamedWeights):
    """Streamed weights that keep the inputs of each matrix."""

    heard: dict[str, Floats] = field(default_factory=dict)

    def linear(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """See `StreamedWeights.linear`."""
        self.heard[name] = inputs.numpy()
        return super().linear(name, inputs)


class LayerInputs:
    """Inputs by matrix, asked for in the order of the layers."""

    def __init__(self, checkpoint: Checkpoint, family: Family, shape: DecoderShape) -> None:
        """Read the texts and their embeddings.

        Raises:
            ThinkportError: the tokenizer, the chat template or the checkpoint can't be used.
        """
        self._weights = _Listening(checkpoint=checkpoint, advance=lambda _: None)
        self._decoder = family.decoder(self._weights, shape)
        texts = calibration_texts(checkpoint, shape.vocab_size, MANY_TOKENS)
        self._packed = Packed(tuple(len(ids) for ids in texts))
        self._hidden = self._decoder.embed(torch.from_numpy(np.concatenate(texts)))
        self._layers, self._next = shape.layers, 0
        self._role = family.role

    @torch.inference_mode()
    def of(self, name: str) -> Floats | None:
        """What the matrix `name` was multiplied with, float32 (tokens, k); None where that was hardly ever.

        Raises:
            CheckpointError: a weight can't be read.
            KeyError: a matrix of a layer that has passed.
        """
        heard, layer, table = self._weights.heard, layer_of(name), self._role(name) in TABLES
        last = self._layers - 1 if table or layer is None else layer
        if not table and last < self._next - 1:
            raise KeyError(name)
        while self._next <= last:
            heard.clear()
            self._hidden = self._decoder.layer(self._next, self._hidden, self._packed)
            self._next += 1
        if table:
            heard[name] = self._decoder.head_inputs(self._hidden).numpy()
        return heard[name] if name in heard and len(heard[name]) >= FEWEST else None
