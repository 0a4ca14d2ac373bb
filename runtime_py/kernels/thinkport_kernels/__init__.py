"""thinkport's kernels for ONNX Runtime's CPU provider: where their library lies."""

from pathlib import Path

OPERATORS = 2
"""The version of what the operators mean; a graph names the one that it was written for."""

LIBRARY = next(
    (one for one in Path(__file__).parent.iterdir() if one.suffix in (".so", ".dll", ".dylib")),
    Path(__file__).with_name("no-library"),
)
"""The file that ONNX Runtime's `register_custom_ops_library` takes."""
