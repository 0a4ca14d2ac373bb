"""What a graph file says of its weights: whether they are rounded, and how much memory running them takes.

Knows initializers and the external files that hold them; reads no weight.
"""

from pathlib import Path

import onnx_ir as ir

from thinkport.export.errors import CertificateError
from thinkport.runtime.manifest import Graph

LOADED = 1.5  # resident bytes of a loaded graph a byte of weights: 1.4 measured in float32, where products are repacked
_WHOLE = {ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL}


def is_exact(folder: Path, graph: Graph) -> bool:
    """Whether nothing in the graph is rounded below float32: neither weights nor the KV cache."""
    return graph.kv.dtype == "float32" and all(value.dtype in _WHOLE for value in _initializers(folder, graph))


def weights_bytes(folder: Path, graph: Graph) -> int:
    """The size of the files that hold the graph's weights."""
    tensors = [value.const_value for value in _initializers(folder, graph)]
    files = {tensor.location for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    return sum((folder / file).stat().st_size for file in files)


def check_memory(weights: int, available: int) -> None:
    """Refuse to load what would not fit, before any time is spent: the checkpoint is streamed, the graph is not.

    Raises:
        CertificateError: a graph over so many bytes of weights needs more than the available ones.
    """
    needed = LOADED * weights
    if needed > available:
        raise CertificateError(
            f"running the graph to certify it takes about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB "
            "are available: export with --no-certificate, or where there is more memory"
        )


def _initializers(folder: Path, graph: Graph) -> list[ir.Value]:
    return list(ir.load(folder / graph.file).graph.initializers.values())
