"""Dense Llama."""

from thinkport.export.families.llama.family import Llama

__all__ = ["Llama"]
