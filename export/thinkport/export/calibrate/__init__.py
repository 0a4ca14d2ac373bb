"""Measures over a short text what a checkpoint keeps in its KV cache, in bounded memory."""

from thinkport.export.calibrate.calibrate import Calibration, calibrate, calibrated_bytes

__all__ = ["Calibration", "calibrate", "calibrated_bytes"]
