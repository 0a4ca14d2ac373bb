"""Holds an artifact against its checkpoint, which is computed in float32 in bounded memory."""

from thinkport.export.certify.certify import certify, recertify
from thinkport.export.certify.cpu_session import certifying_bytes, check_memory

__all__ = ["certify", "certifying_bytes", "check_memory", "recertify"]
