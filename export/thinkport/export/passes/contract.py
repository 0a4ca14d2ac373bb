"""What a graph pass promises: what it is called, how often it must fire, and where it did.

A pass that cannot find what it looks for is a failed export, never a slower artifact.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.trace.names import layer_of

OUTSIDE = None  # the "layer" of what lies before the first and behind the last
MICROSOFT = "com.microsoft"


class GraphPass(ABC):
    """One rewrite of a decoder graph, in place."""

    name: ClassVar[str]

    @abstractmethod
    def expected(self, layers: int) -> Mapping[int | None, int]:
        """How often the pass must fire in each layer, and under `OUTSIDE` outside them; absent means never."""

    @abstractmethod
    def rewrite(self, model: ir.Model) -> Sequence[str]:
        """Rewrite the graph and return the names of the nodes that were put in, one a firing.

        A name carries its layer (`layers.3.self_attn.…`), which is how firings are counted.
        """

    def run(self, model: ir.Model, layers: int) -> int:
        """Rewrite, count and return the number of firings.

        Raises:
            GraphError: some layer's count is not what the pass declares; the message names the layer.
        """
        fired = Counter(layer_of(name) for name in self.rewrite(model))
        expected = self.expected(layers)
        for layer in sorted({*fired, *expected}, key=lambda key: -1 if key is None else key):
            if fired[layer] != expected.get(layer, 0):
                where = "outside the layers" if layer is None else f"in layer {layer}"
                raise GraphError(
                    f"pass {self.name} fired {fired[layer]} times {where}, expected {expected.get(layer, 0)}: "
                    "the traced graph is not the one this pass was written for (export with --no-fuse, or report it)"
                )
        return fired.total()


def each_layer(layers: int, times: int, outside: int = 0) -> dict[int | None, int]:
    """The same count in every layer, and `outside` outside them."""
    return {OUTSIDE: outside} | dict.fromkeys(range(layers), times)


def named_like(node: ir.Node, op_type: str) -> str:
    """A name for the node that replaces `node`: the same module, another operator."""
    return f"{(node.name or '').rsplit('.', 1)[0]}.{op_type}"
