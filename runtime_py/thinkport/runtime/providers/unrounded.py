"""Loads a graph so that its matrix products round no activations to int8, to be held against its own golden tightly.

Two machines that round differ by some percent of the logits, which would hide a kernel that is wrong by as much;
without that rounding they differ as float32 does. Attention, norms and the KV cache are the same kernels either way.
Knows one attribute's bytes in an ONNX file (onnx.proto: AttributeProto's name is field 1 and i is field 3).
"""

import re
from pathlib import Path
from types import ModuleType
from typing import Any, cast

_ASKS = b"\x0a\x0eaccuracy_level\x18"
_ROUNDS = re.compile(re.escape(_ASKS) + b"[\x01-\x7f]")
_FOLDER = "session.model_external_initializers_file_folder_path"


def unrounding(ort: ModuleType) -> ModuleType:
    """ONNX Runtime, but that it loads graphs with every accuracy level at 0; the files stay as they are."""
    return cast("ModuleType", _Unrounding(ort))


class _Unrounding:
    def __init__(self, ort: ModuleType) -> None:
        self._ort = ort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ort, name)

    def InferenceSession(self, path: str, settings: Any, *rest: Any, **others: Any) -> Any:  # noqa: N802 - its name there
        file = Path(path)
        settings.add_session_config_entry(_FOLDER, str(file.parent))
        graph = _ROUNDS.sub(_ASKS + b"\x00", file.read_bytes())
        return self._ort.InferenceSession(graph, settings, *rest, **others)
