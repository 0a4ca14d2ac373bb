"""Some tokens of one text through one part of a graph, with the text's KV caches.

Knows graph inputs and outputs. Must not know what is asked, nor how parts are loaded.
"""

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.certify.graph_parts import GraphPart
from thinkport.export.certify.part_sessions import LoadedPart
from thinkport.export.reference.logits import Ids
from thinkport.export.trace.names import (
    ATTENTION_MASK,
    INPUT_IDS,
    LOGITS_TO_KEEP,
    POSITION_IDS,
    past_layer,
    past_of,
)
from thinkport.runtime.artifact.manifest import Graph, ModelShape
from thinkport.runtime.errors import ArtifactError

Values = NDArray[Any]


@dataclass(eq=False)
class Text:
    """A text on its way: its KV caches by the names of their inputs, of `capacity` tokens where they are in place."""

    capacity: int
    caches: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True)
class Step:
    """Tokens (tokens,) of a text from `start` on, of which `keep` rows of logits are wanted.

    `values` are what the parts so far have left for later ones.
    """

    text: Text
    ids: Ids
    start: int
    keep: int = 1
    values: dict[str, Values] = field(default_factory=dict)

    @property
    def stop(self) -> int:
        """The text's length after it."""
        return self.start + len(self.ids)


class PartStep:
    """Runs steps of texts through parts of one graph."""

    def __init__(self, ort: ModuleType, graph: Graph, model: ModelShape) -> None:
        self._ort, self._graph, self._model = ort, graph, model

    def run(self, loaded: LoadedPart, part: GraphPart, step: Step) -> dict[str, Values]:
        """Run a step through one part: its outputs but for the KV caches, which the text has.

        Raises:
            ArtifactError: the part fails.
        """
        binding, caches = loaded.inner.io_binding(), step.text.caches
        inputs = {name: self._input(name, step) for name in part.inputs}  # numpy's memory lives as long as these do
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name in part.outputs:
            past = past_of(name)
            if past and self._graph.kv.in_place:
                binding.bind_ortvalue_output(name, caches[past])
            else:
                binding.bind_output(name, "cpu")
        try:
            loaded.inner.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            raise ArtifactError(
                f"{self._graph.file} failed in a step of {len(step.ids)} tokens over {step.start}: {error}"
            ) from error
        found = dict(zip(part.outputs, binding.get_outputs(), strict=True))
        if not self._graph.kv.in_place:
            caches.update({past: value for name, value in found.items() if (past := past_of(name))})
        return {name: np.array(value.numpy()) for name, value in found.items() if past_of(name) is None}

    def _input(self, name: str, step: Step) -> Any:
        if name in step.values:
            return self._value(step.values[name])
        if past_layer(name) is not None:
            if name not in step.text.caches:
                step.text.caches[name] = self._value(self._empty_cache(step.text))
            return self._cut(step.text.caches[name], step.start)
        given = {
            INPUT_IDS: step.ids[None],
            ATTENTION_MASK: np.ones((1, step.stop)),
            POSITION_IDS: np.arange(step.start, step.stop)[None],
            LOGITS_TO_KEEP: np.array([step.keep]),
        }
        return self._value(np.ascontiguousarray(given[name], np.int64))

    def _empty_cache(self, text: Text) -> Values:
        kv, model = self._graph.kv, self._model
        return np.zeros((1, model.kv_heads, text.capacity if kv.in_place else 0, model.head_dim), kv.dtype)

    def _cut(self, cache: Any, length: int) -> Any:
        """A cache without what was guessed wrongly; in place it is overwritten."""
        if self._graph.kv.in_place or cache.shape()[2] == length:
            return cache
        return self._value(np.array(cache.numpy()[:, :, :length]))

    def _value(self, array: Values) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(array)
