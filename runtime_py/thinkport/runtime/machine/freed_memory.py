"""Returns freed memory to the system where the C library would keep it."""

import ctypes
import sys


def give_back() -> None:
    """Return freed memory to the system; some C libraries do so only when asked.

    glibc keeps free memory that lies between pieces in use: 180 MB after a 0.6B model was unloaded. Returning them
    takes 10 ms (measured).
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
