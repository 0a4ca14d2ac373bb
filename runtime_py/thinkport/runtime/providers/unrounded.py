"""Loads a graph so that its matrix products round no activations to int8, to be held against its own golden tightly.

Two machines that round differ by some percent of the logits, which would hide a kernel that is wrong by as much;
without that rounding they differ as float32 does. Attention, norms and the KV cache are the same kernels either way.
Knows one attribute's bytes in an ONNX file (onnx.proto: AttributeProto's name is field 1 and i is field 3).
"""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from thinkport.runtime.artifact.manifest import ModelShape
from thinkport.runtime.engine.session import Session
from thinkport.runtime.providers.ort import Candidate

_ASKS = b"\x0a\x0eaccuracy_level\x18"
_ROUNDS = re.compile(re.escape(_ASKS) + b"[\x01-\x7f]")
_FOLDER = "session.model_external_initializers_file_folder_path"


def open_unrounded(
    ort: ModuleType, folder: Path, one: Candidate, model: ModelShape, threads: int | None = None
) -> closing[Session]:
    """A graph of an artifact with every accuracy level at 0, to be closed; the file stays as it is.

    Raises:
        ArtifactError: ONNX Runtime refuses it, or could not start its first provider.
    """
    exact = cast("ModuleType", _Unrounding(ort))
    device = one.plugin and replace(one.plugin, ort=exact)
    return closing(Session(exact, folder, one.graph, model, threads, device_id=one.device, device=device))


class _Unrounding:
    """ONNX Runtime, but that it loads graph files so."""

    def __init__(self, ort: ModuleType) -> None:
        self._ort = ort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ort, name)

    def InferenceSession(  # noqa: N802 - its name there
        self, model: str | bytes, settings: Any, *rest: Any, **others: Any
    ) -> Any:
        if isinstance(model, str):
            settings.add_session_config_entry(_FOLDER, str(Path(model).parent))
            model = _ROUNDS.sub(_ASKS + b"\x00", Path(model).read_bytes())
        return self._ort.InferenceSession(model, settings, *rest, **others)
