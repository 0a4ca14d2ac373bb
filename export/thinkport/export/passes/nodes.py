"""The nodes of a rewrite, in order, named after their module. Knows no graph."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir


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
