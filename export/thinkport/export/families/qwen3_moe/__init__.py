"""Qwen3 with a mixture of experts."""

from thinkport.export.families.qwen3_moe.family import Qwen3Moe

__all__ = ["Qwen3Moe"]
