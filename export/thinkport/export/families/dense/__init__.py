"""The dense decoder that several families are: full attention with rotary, RMS norms, SwiGLU."""

from thinkport.export.families.dense.family import DenseFamily

__all__ = ["DenseFamily"]
