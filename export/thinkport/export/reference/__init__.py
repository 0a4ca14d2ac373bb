"""A checkpoint computed in float32, in bounded memory: what certificates and calibration are measured against."""
