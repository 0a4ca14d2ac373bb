"""Checkpoints: found locally or on the Hub, opened, checked, and read as bounded blocks of float32 rows."""

from thinkport.export.checkpoint.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.checkpoint.hub import ResolvedCheckpoint, resolve
from thinkport.export.checkpoint.safetensors_file import TensorEntry
from thinkport.runtime.hub.download_progress import Progress

__all__ = ["Checkpoint", "Progress", "ResolvedCheckpoint", "TensorEntry", "open_checkpoint", "resolve"]
