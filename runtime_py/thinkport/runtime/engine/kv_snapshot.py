"""A copy of the start of a KV cache: what lanes read and write, what is shared, saved and restored.

Knows arrays; must not know tokens, lanes or files.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, eq=False)
class KvSnapshot:
    """Keys and values of the first `length` tokens, 1 or more, of one sequence.

    `parts` are a key and a value for each layer in turn, each (1, kv_heads, length, head_dim) in the data type of the
    graph's KV cache. Several lanes and threads may hold one snapshot: nobody writes to its arrays.
    """

    parts: tuple[npt.NDArray[Any], ...]

    def __post_init__(self) -> None:
        assert len({part.shape for part in self.parts}) == 1, "keys and values of all layers have one shape"
        assert self.length >= 1, "a snapshot holds at least a token"

    @property
    def length(self) -> int:
        """Its tokens."""
        return int(self.parts[0].shape[2])

    @property
    def layout(self) -> str:
        """Its data type and shape in words, without the length: snapshots of one layout fit the same lanes."""
        _, heads, _, width = self.parts[0].shape
        return layout_of(self.parts[0].dtype, len(self.parts) // 2, heads, width)

    @property
    def nbytes(self) -> int:
        """The memory of its tokens' keys and values."""
        return sum(part.nbytes for part in self.parts)

    def first(self, length: int) -> "KvSnapshot":
        """The first `length` of its tokens, as a view: nothing is copied, and this snapshot's memory stays in use."""
        return self if length >= self.length else KvSnapshot(parts=tuple(part[:, :, :length] for part in self.parts))

    def owned(self) -> "KvSnapshot":
        """The same tokens in memory of their own, so that `nbytes` is all that is kept alive."""
        if all(part.base is None for part in self.parts):
            return self
        return KvSnapshot(parts=tuple(np.array(part, order="C") for part in self.parts))


def layout_of(dtype: npt.DTypeLike, layers: int, kv_heads: int, head_dim: int) -> str:
    """What a KV cache must have in common with a snapshot, as errors say it."""
    return f"{np.dtype(dtype).name}, {layers} layers of {kv_heads} heads of {head_dim}"
