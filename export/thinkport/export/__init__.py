"""From a Qwen3 checkpoint to an artifact. The public names; importing them loads torch only when they are used."""

from typing import TYPE_CHECKING

from thinkport.export.errors import (
    CheckpointError,
    ExportError,
    GraphError,
    OutputError,
    RecipeError,
    UnsupportedModelError,
)
from thinkport.export.progress import Listener
from thinkport.export.settings import ExportSettings

if TYPE_CHECKING:
    from thinkport.export.exporter import ExportReport, export

__all__ = [
    "CheckpointError",
    "ExportError",
    "ExportReport",
    "ExportSettings",
    "GraphError",
    "Listener",
    "OutputError",
    "RecipeError",
    "UnsupportedModelError",
    "export",
]


def __getattr__(name: str) -> object:
    if name in ("ExportReport", "export"):  # their module imports torch and transformers, which takes seconds
        from thinkport.export import exporter

        return getattr(exporter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
