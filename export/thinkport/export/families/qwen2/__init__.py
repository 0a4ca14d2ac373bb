"""Dense Qwen2."""

from thinkport.export.families.qwen2.family import Qwen2

__all__ = ["Qwen2"]
