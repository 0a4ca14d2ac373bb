"""A checkpoint read with scaled channels: the same function, whose matrices round better.

Knows rows and columns of tensors; the scales come from `equalized`, which reads every matrix once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.checkpoint import Checkpoint
from thinkport.export.quantize.equalize import Site, flattening, is_worth

Floats = NDArray[np.float32]

_BLOCK_BYTES = 8 << 20
_SAMPLE_ROWS = 64  # of every matrix, evenly spread


def equalized(
    checkpoint: Checkpoint,
    sites: Sequence[Site],
    group_size: Callable[[str, int], int],
    *,
    advance: Callable[[int], None],
) -> Checkpoint:
    """The checkpoint with the channels of every site alike where that pays.

    `group_size` is asked for by a reader's name and the length of its rows. `advance` is told the float32 bytes of the
    readers that were looked at. One block is held at a time.

    Raises:
        CheckpointError: a tensor can't be read.
    """
    columns_by: dict[str, Floats] = {}
    rows_by: dict[str, Floats] = {}
    for site in sites:
        scales = flattening(site.to_channels(_energy(checkpoint, site.readers, advance)))
        columns = site.to_columns(scales)
        samples = [_sample(checkpoint, name) for name in site.readers]
        if is_worth(samples, columns, group_size=group_size(site.readers[0], len(columns))):
            columns_by |= dict.fromkeys(site.readers, columns)
            rows_by |= dict.fromkeys(site.writers, scales)
    return replace(checkpoint, columns_by=columns_by, rows_by=rows_by)


def divided(checkpoint: Checkpoint, rows_by: Mapping[str, Floats]) -> Checkpoint:
    """The checkpoint with rows of tensors divided, each by its own float32 (rows,), over what is scaled already."""
    return replace(checkpoint, rows_by={**checkpoint.rows_by, **rows_by})


def reader_bytes(checkpoint: Checkpoint, sites: Sequence[Site]) -> int:
    """How many bytes `equalized` reports in all."""
    return sum(4 * int(np.prod(checkpoint.tensors[name].shape)) for site in sites for name in site.readers)


def _energy(checkpoint: Checkpoint, names: Sequence[str], advance: Callable[[int], None]) -> Floats:
    """Squared sums (k,) of the columns of matrices stacked by rows."""
    total = np.zeros(checkpoint.tensors[names[0]].shape[1], np.float32)
    for name in names:
        for _, block in checkpoint.blocks(name, _BLOCK_BYTES):
            total += np.einsum("ij,ij->j", block, block)
            advance(block.nbytes)
    return total


def _sample(checkpoint: Checkpoint, name: str) -> Floats:
    n = checkpoint.tensors[name].shape[0]
    chosen = range(0, n, -(-n // _SAMPLE_ROWS))
    return np.concatenate([checkpoint.rows(name, row, row + 1) for row in chosen])
