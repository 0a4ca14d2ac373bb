"""Dense Qwen3."""

from thinkport.export.families.qwen3.family import Qwen3
from thinkport.export.families.qwen3.shape import Qwen3Shape

__all__ = ["Qwen3", "Qwen3Shape"]
