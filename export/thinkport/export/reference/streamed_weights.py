"""Products with a checkpoint's matrices, read in row blocks of which one is held at a time.

Knows blocks of rows; must not know which weights a model has or what they are for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.quantize.rotation import hadamard

BLOCK_BYTES = 32 << 20  # from 16 MB on, larger ones are no faster


@dataclass(frozen=True, kw_only=True)
class StreamedWeights:
    """A checkpoint's weights in float32; `advance` is told the bytes of every block that is done."""

    checkpoint: Checkpoint
    advance: Callable[[int], None]
    block_bytes: int = BLOCK_BYTES

    def linear(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """(tokens, inputs) through the matrix `name` (outputs, inputs), giving (tokens, outputs)."""
        rows = self.checkpoint.tensors[name].shape[0]
        outputs: torch.Tensor | None = None
        for start, block in self.checkpoint.blocks(name, self.block_bytes):
            part = inputs @ torch.from_numpy(block).T
            if len(block) == rows:
                outputs = part
            else:
                outputs = inputs.new_empty(len(inputs), rows) if outputs is None else outputs
                outputs[:, start : start + len(block)] = part
            self.advance(block.nbytes)
        assert outputs is not None
        return outputs

    def skip(self, name: str) -> None:
        """Count a matrix as done that no token goes through, and which is not read."""
        self.advance(4 * math.prod(self.checkpoint.tensors[name].shape))

    def vector(self, name: str) -> torch.Tensor:
        """A whole small tensor, such as a norm's weights."""
        return torch.from_numpy(self.checkpoint.read(name))

    def turned(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states (tokens, hidden) as layers have them to as tables have them, or back; the same but for a
        checkpoint that is turned.
        """
        rotation = self.checkpoint.rotation
        if rotation is None:
            return hidden
        blocks = hidden.reshape(-1, rotation.block) @ torch.from_numpy(hadamard(rotation.block))
        return blocks.reshape(hidden.shape)

    def rows(self, name: str, ids: torch.Tensor) -> torch.Tensor:
        """The rows `ids` of a table, each read once."""
        unique, which = torch.unique(ids, return_inverse=True)
        found = [self.checkpoint.rows(name, row, row + 1) for row in unique.tolist()]
        return torch.from_numpy(np.concatenate(found))[which]


def streamed_bytes(checkpoint: Checkpoint, table: tuple[int, int]) -> int:
    """How many bytes `advance` is told in all: every matrix in float32, and one table of embedding and lm_head."""
    matrices = [entry for entry in checkpoint.tensors.values() if len(entry.shape) > 1 and entry.shape != table]
    return 4 * (math.prod(table) + sum(math.prod(entry.shape) for entry in matrices))
