"""Every error that exporting raises on purpose; all are kinds of the runtime's `ThinkportError`.

A message says what was found, what was expected and what to do next. The command line is the one place that catches.
"""

from thinkport.runtime.errors import ThinkportError


class ExportError(ThinkportError):
    """Base of everything that keeps a checkpoint from becoming an artifact: most are requests that can't be met."""

    exit_code = 2


class CheckpointError(ExportError):
    """A checkpoint that can't be found, fetched or read, or whose files are incomplete or contradict one another."""


class UnsupportedModelError(ExportError):
    """A whole and readable checkpoint of a model that no family can express; the message names the feature."""


class RecipeError(ExportError):
    """A recipe that doesn't exist, contradicts itself, or doesn't fit a weight's shape."""


class OutputError(ExportError):
    """An output path that can't be written: it exists, lies inside the checkpoint, or the disk is too small."""


class GraphError(ExportError):
    """A graph that isn't what the family promised: a fusion that didn't fire, layers that aren't alike."""

    exit_code = 1


class CertificateError(ExportError):
    """An artifact that can't be held against its checkpoint, or whose graph computes something else."""

    exit_code = 1
