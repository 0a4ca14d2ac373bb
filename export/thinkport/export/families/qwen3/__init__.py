"""Dense Qwen3."""

from thinkport.export.families.qwen3.family import Qwen3

__all__ = ["Qwen3"]
