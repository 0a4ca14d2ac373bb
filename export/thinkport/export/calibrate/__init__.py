"""Measures over a short text what a checkpoint keeps in its KV cache, in bounded memory."""

from thinkport.export.calibrate.calibrate import calibrate, calibrated_bytes

__all__ = ["calibrate", "calibrated_bytes"]
