"""Small integers packed into 32-bit words, the first in the lowest bits. Pure numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
WORD_BITS = 32


def unpack_last(words: NDArray[Any], bits: int) -> Codes:
    """Words (…, m) to codes uint8 (…, m * 32 / bits), in the order of the bits; `bits` is 2, 4 or 8."""
    octets = np.ascontiguousarray(words).astype("<u4", copy=False).view(np.uint8)
    if bits == 8:
        return octets
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (octets[..., None] >> shifts) & np.uint8(2**bits - 1)
    return codes.reshape(*octets.shape[:-1], -1)


def unpack_first(words: NDArray[Any], bits: int) -> Codes:
    """Words (m, n) that pack along the first axis to codes uint8 (n, m * 32 / bits): the packed axis comes last."""
    return unpack_last(np.ascontiguousarray(words.T), bits)
