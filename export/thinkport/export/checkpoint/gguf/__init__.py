"""A GGUF file as a checkpoint's weights."""

from thinkport.export.checkpoint.gguf.weights import gguf_file, gguf_tensors

__all__ = ["gguf_file", "gguf_tensors"]
