"""Loads the parts of a graph in ONNX Runtime, each from memory over external data of a folder.

Knows how much memory a loaded part takes. Must not know what goes through it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir

from thinkport.export.certify.graph_parts import GraphPart
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.machine.freed_memory import give_back
from thinkport.runtime.machine.threads import physical_cores

LOADED = 1.5  # bytes of memory that a loaded graph takes a byte of weights: 1.4 measured in float32, all repacked
HELD = 1_500_000_000  # bytes of loaded parts that are worth holding between tokens
_FOLDER = "session.model_external_initializers_file_folder_path"
_ERRORS_ONLY = 3

Supply = Callable[[GraphPart], AbstractContextManager[Path]]
"""The folder with the external data of a part, for as long as the part is loaded."""


class LoadedPart:
    """A part's session, `inner`, which is None once closed, so that other references keep no memory and no file."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def close(self) -> None:
        """Drop the session: ONNX Runtime frees memory and files with its object."""
        self.inner = None
        give_back()


class PartSessions:
    """Parts that are loaded when they are used.

    The first `room` bytes of parts stay loaded, and need their folders as long; the others are closed after use.
    """

    def __init__(self, ort: ModuleType, supply: Supply, room: int = 0) -> None:
        self._ort, self._supply, self._room = ort, supply, float(room)
        self._kept: dict[int, LoadedPart] = {}

    @contextmanager
    def use(self, part: GraphPart, types: Mapping[str, np.dtype[Any]]) -> Iterator[LoadedPart]:
        """A part, loaded; `types` are those of the values that it takes from other parts.

        Raises:
            ArtifactError: ONNX Runtime refuses it.
        """
        kept = self._kept.get(id(part))
        if kept is not None:
            yield kept
            return
        _tell_types(part.model.graph, types)
        with self._supply(part) as folder:
            loaded = LoadedPart(self._load(part, folder))
            try:
                yield loaded
            finally:
                if LOADED * part.weights <= self._room:
                    self._room -= LOADED * part.weights
                    self._kept[id(part)] = loaded
                else:
                    loaded.close()  # before the folder may go, which Windows would not let it while a file is mapped

    def _load(self, part: GraphPart, folder: Path) -> Any:
        settings = self._ort.SessionOptions()
        settings.log_severity_level = _ERRORS_ONLY
        settings.intra_op_num_threads = physical_cores() or 0
        settings.enable_cpu_mem_arena = False  # what it hands out would outlive the part
        settings.add_session_config_entry(_FOLDER, str(folder))
        proto = ir.to_proto(part.model).SerializeToString()
        try:
            return self._ort.InferenceSession(proto, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise ArtifactError(
                f"a part of the graph over {folder} can't be loaded by ONNX Runtime: {error}"
            ) from error


def _tell_types(graph: ir.Graph, types: Mapping[str, np.dtype[Any]]) -> None:
    """Set the types of inputs, which ONNX Runtime does not infer, unlike those of outputs."""
    for value in graph.inputs:
        told = types.get(value.name or "")
        if told is not None:
            value.dtype = ir.DataType.from_numpy(told)
