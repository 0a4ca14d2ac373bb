"""What a graph pass promises, and the nodes that it puts into a graph.

A pass declares its name and how often it must fire, and reports where it did. A pass that does not find what it looks
for fails the export; it never makes a slower artifact.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.passes.walk import MismatchError
from thinkport.export.trace.names import kv_layer, layer_of

OUTSIDE = None  # the "layer" of what lies before the first and behind the last
MICROSOFT = "com.microsoft"
Match = TypeVar("Match")
Count = int | Sequence[int]
"""So often in every layer, or in each layer by its number."""


class Nodes:
    """Nodes that are made one behind the other and go into the graph together."""

    def __init__(self, module: str):
        self.module = module
        self.nodes: list[ir.Node] = []

    def make(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, int | float | str | list[int]] | None = None,
        domain: str = "",
        dtype: ir.DataType | None = None,
        name: str | None = None,
        outputs: int = 1,
    ) -> ir.Value:
        """A node's first output, of that type where it is given; `name` is the node's within its module."""
        name = f"{self.module}.{name or f'{op_type}_{len(self.nodes)}'}"
        node = ir.node(op_type, inputs, dict(attributes or {}), domain=domain, num_outputs=outputs, name=name)
        self.nodes.append(node)
        if dtype is not None:
            node.outputs[0].type = ir.TensorType(dtype)
        return node.outputs[0]


class CountError(GraphError, ir.passes.PostconditionError):
    """A pass fired more or less often than it declares."""


class GraphPass(ir.passes.InPlacePass):
    """One rewrite of a decoder graph, in place; its post-condition is the number of firings in each layer.

    Attributes:
        per_layer: how often it must fire in each layer, one number for all or one a layer; a field where that differs
            from graph to graph.
        outside: how often it must fire outside the layers.
        starts_at: the operators at which a fusion starts to look; empty where a pass takes nodes one by one.
        fired: the nodes that the last run put in, one a firing.
        misses: of the last run, the layer and the reason of each subgraph that looked like a match and was none.
    """

    name: ClassVar[str]
    per_layer: Count = 0
    outside: ClassVar[int] = 0
    starts_at: ClassVar[tuple[str, ...]] = ()
    fired: Sequence[str] = ()
    misses: Sequence[tuple[int | None, str]] = ()

    def expected(self, layers: int) -> dict[int | None, int]:
        """How often the pass must fire in each layer, and under `OUTSIDE` outside them; absent means never."""
        each = [self.per_layer] * layers if isinstance(self.per_layer, int) else self.per_layer
        counts = {OUTSIDE: self.outside} | dict(enumerate(each))
        return {layer: count for layer, count in counts.items() if count}

    @abstractmethod
    def rewrite(self, model: ir.Model) -> Sequence[str]:
        """Rewrite the graph and return the names of the nodes that were put in, one a firing.

        A name carries its layer (`layers.3.self_attn.…`), which is how firings are counted.
        """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the graph; a pass that returns has changed it, or has nothing to count."""
        self.fired = self.rewrite(model)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        """Compare the firings of the last run with what the pass declares; layers are counted by the model's cache.

        Raises:
            CountError: some layer's count differs; the message names the layer, and why what is there did not match.
        """
        fired = Counter(layer_of(name) for name in self.fired)
        layers = {kv_layer(value.name or "") for value in model.graph.inputs} - {None}
        expected = self.expected(len(layers))
        for layer in sorted({*fired, *expected}, key=lambda key: -1 if key is None else key):
            if fired[layer] != expected.get(layer, 0):
                where = "outside the layers" if layer is None else f"in layer {layer}"
                why = "; ".join(reason for at, reason in self.misses if at == layer)
                if not why and fired[layer] == 0 and self.starts_at:
                    why = f"no {' or '.join(self.starts_at)} is there"
                raise CountError(
                    f"pass {self.name} fired {fired[layer]} times {where}, expected {expected.get(layer, 0)}"
                    f"{why and '; '}{why}: "
                    "the traced graph is not the one this pass was written for (export with --no-fuse, or report it)"
                )


class Fusion(GraphPass, Generic[Match]):
    """A pass that looks at every node of some operators, and says of each why its surroundings did not match."""

    @abstractmethod
    def match(self, node: ir.Node) -> Match:
        """What `fuse` needs of the subgraph around a node of `starts_at`.

        Raises:
            MismatchError: it is another subgraph; the message says where it differs.
        """

    @abstractmethod
    def fuse(self, graph: ir.Graph, match: Match) -> str:
        """Replace a subgraph that matched; returns the new node's name."""

    def rewrite(self, model: ir.Model) -> Sequence[str]:
        return [self.fuse(model.graph, match) for match in self.matches(model)]

    def starts(self, node: ir.Node) -> bool:
        """Whether a node may be the start of a match."""
        return node.op_type in self.starts_at

    def matches(self, model: ir.Model) -> list[Match]:
        """What matched, in graph order; the rest is kept in `misses`."""
        matches: list[Match] = []
        misses = []
        for node in filter(self.starts, list(model.graph)):
            try:
                matches.append(self.match(node))
            except MismatchError as error:
                misses.append((layer_of(node.name or ""), str(error)))
        self.misses = misses
        return matches


def module_of(node: ir.Node) -> str:
    """The module that a node's name begins with."""
    return (node.name or "").rsplit(".", 1)[0]


def named_like(node: ir.Node, op_type: str) -> str:
    """A name for the node that replaces `node`: the same module, another operator."""
    return f"{module_of(node)}.{op_type}"


def become(
    graph: ir.Graph,
    old: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any],
    domain: str = MICROSOFT,
) -> str:
    """Put one node of a domain of operators in the place of `old`, named like it and with as many outputs.

    Returns its name.
    """
    name = named_like(old, op_type)
    outputs = len(old.outputs)
    new = ir.node(op_type, inputs, dict(attributes), domain=domain, name=name, num_outputs=outputs)
    return substitute(graph, old, [new])


def substitute(graph: ir.Graph, old: ir.Node, new: Sequence[ir.Node]) -> str:
    """Put `new` in the place of `old`, whose outputs become those of the last one; returns its name."""
    ir.convenience.replace_nodes_and_values(graph, old, [old], new, old.outputs, new[-1].outputs)
    return new[-1].name or ""
