"""From a Qwen3 checkpoint to an artifact. The public names; importing them loads torch only when they are used."""

from thinkport.export.errors import (
    CheckpointError,
    ExportError,
    GraphError,
    OutputError,
    RecipeError,
    UnsupportedModelError,
)
from thinkport.export.settings import ExportSettings

__all__ = [
    "CheckpointError",
    "ExportError",
    "ExportSettings",
    "GraphError",
    "OutputError",
    "RecipeError",
    "UnsupportedModelError",
    "export",
]


def __getattr__(name: str) -> object:
    if name == "export":
        from thinkport.export.exporter import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
