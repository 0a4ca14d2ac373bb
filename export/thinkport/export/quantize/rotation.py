"""Hidden states turned by a Hadamard matrix, some channels at a time, and weights that suit them. Pure numpy.

Knows rows and columns; must not know which tensor is what. A few channels of a trained model are much larger than the
others, and so are the columns that read them and the rows that write them. A rotation spreads each over its block, and
weights that go with it compute the same function: matrices that read hidden states are turned back in their columns,
with the weights of the norm in front of them folded in, and those that write them are turned in their rows (QuaRot,
arXiv 2404.00456). Norms are then 1, for a rotation leaves the mean square as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LARGEST = 64  # channels that are turned together; 1/sqrt(64) is exact in float16 too


@dataclass(frozen=True, kw_only=True)
class Branch:
    """What a layer's hidden state goes through and is added to: attention or MLPs.

    Attributes:
        norm: the norm in front, whose weights are (hidden,).
        readers: the matrices behind the norm, (rows, hidden), all of which targets may read as one.
        writers: the matrices whose products are added to the hidden state, (hidden, columns).
    """

    norm: str
    readers: tuple[str, ...]
    writers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """How tensors are read that go with turned hidden states.

    Attributes:
        block: channels that are turned together.
        gains: the weights of the norm in front of each reader, float32 (hidden,), by the reader's name.
        norms: norms whose weights became 1.
        writers: matrices whose rows are turned.
    """

    block: int
    gains: Mapping[str, Floats]
    norms: frozenset[str]
    writers: frozenset[str]

    @property
    def note(self) -> str:
        """A sentence for people who look at an artifact."""
        return f"Hidden states are turned by a Hadamard matrix, {self.block} channels at a time"

    def rows(self, name: str, start: int, stop: int, stored: Callable[[int, int], Floats]) -> Floats:
        """Rows start..stop of a tensor, of which `stored` gives a fresh array of any rows as they are stored."""
        if name in self.norms:
            return np.ones(stop - start, np.float32)
        if name in self.gains:
            return turned(stored(start, stop) * self.gains[name], self.block)
        if name not in self.writers:
            return stored(start, stop)
        first, last = start - start % self.block, -(-stop // self.block) * self.block
        rows = stored(first, last)
        whole = np.matmul(hadamard(self.block), rows.reshape(-1, self.block, rows.shape[1]))
        return np.ascontiguousarray(whole.reshape(rows.shape)[start - first : stop - first])


def block_of(channels: int) -> int:
    """How many of so many channels are turned together: the largest power of two up to 64 that divides them.

    It is 32 or 64 for any rows that can be split into groups.
    """
    return min(channels & -channels, LARGEST)


def hadamard(size: int) -> Floats:
    """Sylvester's Hadamard matrix of a power of two, scaled to be orthogonal; it is its own inverse."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return np.asarray(matrix / np.sqrt(size), np.float32)


def turned(rows: Floats, block: int) -> Floats:
    """Rows (n, channels) with every `block` channels turned; turned again they are as before."""
    return (rows.reshape(-1, block) @ hadamard(block)).reshape(rows.shape)
