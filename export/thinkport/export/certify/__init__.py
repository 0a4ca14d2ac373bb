"""Holds an artifact against its checkpoint, which is computed in float32 in bounded memory."""

from thinkport.export.certify.certify import certify, streamed_bytes

__all__ = ["certify", "streamed_bytes"]
