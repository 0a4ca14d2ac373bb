"""Measures over a short text what a checkpoint keeps in its KV cache, in bounded memory."""

from thinkport.export.calibrate.calibrate import Calibration, calibrate, calibrated_bytes
from thinkport.export.calibrate.layer_inputs import LayerInputs
from thinkport.export.calibrate.sensitivity import sensitivities

__all__ = ["Calibration", "LayerInputs", "calibrate", "calibrated_bytes", "sensitivities"]
