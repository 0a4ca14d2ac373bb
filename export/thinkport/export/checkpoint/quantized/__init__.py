"""Weights that are stored quantized, read by the names of the weights that they stand for."""

from thinkport.export.checkpoint.quantized.methods import check_method, plain_config, with_decoded

__all__ = ["check_method", "plain_config", "with_decoded"]
