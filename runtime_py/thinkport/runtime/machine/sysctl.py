"""macOS's table of facts about the machine, read by name."""

import ctypes


def sysctl_text(name: str) -> str | None:
    """A fact that is text; None if this Mac has none of that name."""
    value = _read(name)
    return None if value is None else value.rstrip(b"\0").decode("utf-8", "replace")


def sysctl_number(name: str) -> int | None:
    """A fact that is a whole number; None if this Mac has none of that name."""
    value = _read(name)
    return None if value is None else int.from_bytes(value, "little")


def _read(name: str) -> bytes | None:
    system = ctypes.CDLL(None)
    size = ctypes.c_size_t(0)
    if system.sysctlbyname(name.encode(), None, ctypes.byref(size), None, 0):
        return None
    value = ctypes.create_string_buffer(size.value)
    if system.sysctlbyname(name.encode(), value, ctypes.byref(size), None, 0):
        return None
    return value.raw[: size.value]
