"""Cuts a decoder's graph in front of every attention, into parts of which one at a time has to be in memory.

What a part hands on is what it computed of the ids or of a KV cache; what follows from the mask or the positions alone
is computed again in each part that wants it. Knows graph inputs and outputs by name, and no operator.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.trace.names import INPUT_IDS, kv_layer, past_name

_KV_LAYER = re.compile(r"(?<=^past_key_values\.)\d+|(?<=^present\.)\d+")


@dataclass(frozen=True, kw_only=True)
class GraphPart:
    """A part of a graph as a graph of its own, over the same external data, with the KV cache of at most one layer.

    That layer is number 0 in the names of its inputs and outputs. `later` names the values computed so far that later
    parts take; `weights` are the bytes of its initializers.
    """

    model: ir.Model
    later: frozenset[str]
    weights: int

    @property
    def layers(self) -> int:
        """How many layers' KV caches it takes."""
        return int(past_name(0, "key") in self.inputs)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return _names(self.model.graph.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its outputs."""
        return _names(self.model.graph.outputs)


def cut(model: ir.Model) -> list[GraphPart]:
    """The parts in the order of computing: one up to the first attention, then one a layer; `model` stays as it is.

    A part's inputs have no type where the graph does not tell it, as of what an operator gives that ONNX does not know.
    """
    graph = model.graph
    levels = _levels(graph)
    taken: dict[int, dict[ir.Value, None]] = {level: {} for level in range(max(levels.values()) + 1)}
    for node in graph:
        level = _highest(node.inputs, levels)
        for value in node.inputs:
            if value is not None and levels.get(value, level) < level and value.producer() is not None:
                taken[level][value] = None
    parts = []
    for level, takes in taken.items():
        later = {value for behind in taken if behind > level for value in taken[behind] if levels[value] <= level}
        gives = [value for value in later if levels[value] == level]
        own = [value for value in graph.outputs if levels[value] == level]
        parts.append(_part(model, [*takes], [*own, *gives], frozenset(_names(later))))
    return parts


def weight_bytes(graph: ir.Graph) -> int:
    """The bytes of a graph's initializers."""
    return sum(value.const_value.nbytes for value in graph.initializers.values() if value.const_value is not None)


def _levels(graph: ir.Graph) -> dict[ir.Value, int]:
    """How many KV caches lie before each value that follows from the ids or a cache; other values are left out."""
    levels = {}
    for value in graph.inputs:
        layer = kv_layer(value.name or "")
        if layer is not None or value.name == INPUT_IDS:
            levels[value] = 0 if layer is None else layer + 1
    for node in graph:
        if any(value in levels for value in node.inputs):
            levels.update(dict.fromkeys(node.outputs, _highest(node.inputs, levels)))
    return levels


def _highest(values: Iterable[ir.Value | None], levels: Mapping[ir.Value, int]) -> int:
    return max((levels[value] for value in values if value is not None and value in levels), default=0)


def _part(model: ir.Model, takes: list[ir.Value], outputs: list[ir.Value], later: frozenset[str]) -> GraphPart:
    graph = ir.convenience.extract(model.graph, [*takes, *model.graph.inputs], outputs)
    graph.inputs[:] = [value for value in graph.inputs if value.uses()]
    for value in (*graph.inputs, *graph.outputs):
        value.name = _KV_LAYER.sub("0", value.name or "")
    return GraphPart(model=ir.Model(graph, ir_version=model.ir_version), later=later, weights=weight_bytes(graph))


def _names(values: Iterable[ir.Value]) -> tuple[str, ...]:
    return tuple(value.name or "" for value in values)
