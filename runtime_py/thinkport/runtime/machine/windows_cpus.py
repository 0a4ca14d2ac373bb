"""What Windows tells of its cores: GetLogicalProcessorInformationEx, of which this reads the record of each core.

Knows the layout of SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX (winnt.h); must not know what the cores are for.
"""

import struct
import sys

_CORE = 0  # RelationProcessorCore
_HEADER = struct.Struct("<II")  # relationship, size of the record
_EFFICIENCY = _HEADER.size + 1  # after the flags: PROCESSOR_RELATIONSHIP.EfficiencyClass, higher is faster


def efficiency_classes(records: bytes) -> list[int]:
    """The efficiency class of each physical core in the records that Windows returns."""
    classes: list[int] = []
    at = 0
    while at + _HEADER.size < len(records):
        relationship, size = _HEADER.unpack_from(records, at)
        if relationship == _CORE:
            classes.append(records[at + _EFFICIENCY])
        at += max(size, _HEADER.size)
    return classes


def core_records() -> bytes:
    """The records of all cores; empty where Windows has none to tell, or this is not Windows."""
    if sys.platform == "win32":
        import ctypes

        tell = ctypes.WinDLL("kernel32").GetLogicalProcessorInformationEx
        size = ctypes.c_uint32(0)
        tell(_CORE, None, ctypes.byref(size))
        records = ctypes.create_string_buffer(size.value)
        return records.raw if tell(_CORE, records, ctypes.byref(size)) else b""
    return b""
