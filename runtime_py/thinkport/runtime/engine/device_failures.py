"""What a provider's error says of its device: providers raise plain RuntimeErrors, so that only their text tells.

Knows texts of Direct3D 12, Dawn (WebGPU) and CUDA. Must not know sessions or lanes.
"""

import re
from enum import StrEnum

# learn.microsoft.com/windows/win32/direct3ddxgi/dxgi-error: DEVICE_REMOVED, _HUNG, _RESET, DRIVER_INTERNAL_ERROR
_LOST = r"887A000[567]|887A0020|DEVICE_(REMOVED|HUNG|RESET|LOST)|device (is|was|has been) lost|device lost|ECC error"
# E_OUTOFMEMORY; VK_ERROR_OUT_OF_DEVICE_MEMORY; CUDA's arena says "Failed to allocate memory for requested buffer"
_MEMORY = r"8007000E|out[ _]of[ _](device[ _])?memory|failed to allocate|bad allocation|bad_alloc|MemoryError"


class DeviceFailure(StrEnum):
    """`LOST`: nothing runs there until its sessions are made anew. `MEMORY`: it has no room for a buffer."""

    LOST = "lost"
    MEMORY = "memory"


def failure_of(text: str) -> DeviceFailure | None:
    """What an error's text says; None where it speaks of neither. A lost device's allocations fail too: it comes first.

    Case does not matter.
    """
    if re.search(_LOST, text, re.IGNORECASE):
        return DeviceFailure.LOST
    return DeviceFailure.MEMORY if re.search(_MEMORY, text, re.IGNORECASE) else None
