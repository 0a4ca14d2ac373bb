"""Walking a graph from a value to what made it or reads it, and saying where it is not as expected."""

from typing import NamedTuple

import onnx_ir as ir

PASTS, PRESENTS = slice(3, 5), slice(1, 3)  # of GroupQueryAttention's inputs and outputs


class MismatchError(Exception):
    """Why a subgraph is not the one that a pass rewrites, with the node where it differs."""


def expect(holds: bool, node: ir.Node, reason: str) -> None:
    """Go on where the subgraph is as expected.

    Raises:
        MismatchError: it is not; `reason` goes on from the node's name.
    """
    if not holds:
        raise MismatchError(f"{node.name} {reason}")


def maker(value: ir.Value | None, role: str, *op_types: str) -> ir.Node:
    """The node that computes `value`; `role` says what the value is to the pass.

    Raises:
        MismatchError: no node computes it, or one of another operator.
    """
    node = None if value is None else value.producer()
    if node is None or node.op_type not in op_types:
        found = "nothing" if value is None else f"{value.name}, which no node computes"
        found = found if node is None else f"{node.op_type} {node.name}"
        raise MismatchError(f"{role}: found {found}, expected {' or '.join(op_types)}")
    return node


def above(value: ir.Value | None, role: str, *op_types: str) -> ir.Value:
    """Follow first inputs upward through exactly these operators, nearest first.

    Raises:
        MismatchError: one of them is another.
    """
    for op_type in op_types:
        value = maker(value, role, op_type).inputs[0]
    assert value is not None
    return value


def reader(node: ir.Node, op_type: str) -> ir.Node:
    """The one node of that operator that reads a node's first output.

    Raises:
        MismatchError: none does, or more than one.
    """
    readers = [use.node for use in node.outputs[0].uses()]
    found = [one for one in readers if one.op_type == op_type]
    names = ", ".join(f"{one.op_type} {one.name}" for one in readers)
    expect(len(found) == 1, node, f"is read by {names or 'nothing'}, expected one {op_type}")
    return found[0]


def made_from(node: ir.Node, role: str, op_type: str) -> tuple[ir.Node, ir.Value]:
    """Of a commutative two-operand node: the operand that an `op_type` computes (its node), and the other operand.

    Raises:
        MismatchError: neither is computed so.
    """
    first, second = node.inputs
    if made_by(first, op_type) is None:
        first, second = second, first
    found = made_by(first, op_type)
    if found is None or second is None:
        raise MismatchError(f"{node.name} is no sum or product of {role}, expected from {op_type}")
    return found, second


def other(node: ir.Node, value: ir.Value) -> ir.Value:
    """The operand of a two-operand node beside `value`."""
    first, second = node.inputs
    found = second if first is value else first
    assert found is not None
    return found


def silu_product(sigmoid: ir.Node) -> ir.Node:
    """The product x · sigmoid(x), which is SiLU.

    Raises:
        MismatchError: the sigmoid is multiplied by another tensor, or by none.
    """
    product = reader(sigmoid, "Mul")
    x = sigmoid.inputs[0]
    gated = other(product, sigmoid.outputs[0])
    expect(gated is x, product, f"multiplies {gated.name} by a sigmoid, expected the sigmoid's own {x and x.name}")
    return product


def made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The node that computes `value` if it is an `op_type`, else None."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type else None


def input_named(graph: ir.Graph, name: str) -> ir.Value:
    """The graph's own input of that name."""
    return next(value for value in graph.inputs if value.name == name)


def has_graphs_cache(attention: ir.Node) -> bool:
    """Whether past and present of a GroupQueryAttention are the graph's own inputs and outputs."""
    pasts = all(value is not None and value.is_graph_input() for value in attention.inputs[PASTS])
    return pasts and all(value.is_graph_output() for value in attention.outputs[PRESENTS])


def operand(node: ir.Node | None, index: int) -> ir.Value | None:
    """An input of a node that may not have been found."""
    return None if node is None or index >= len(node.inputs) else node.inputs[index]


def weight_of(matmul: ir.Node) -> ir.Value | None:
    """The (rows, columns) checkpoint weight W of a `MatMul(x, Transpose(W))`."""
    weight = operand(made_by(operand(matmul, 1), "Transpose"), 0)
    return weight if weight is not None and weight.is_initializer() else None


class Projection(NamedTuple):
    """A `MatMul(x, Transpose(weight))`, with a bias added behind it or not; `weight` is (rows, columns)."""

    product: ir.Node
    bias: ir.Value | None
    weight: ir.Value

    @property
    def result(self) -> ir.Value:
        """The product, its bias added."""
        added = None if self.bias is None else added_bias(self.product)
        return self.product.outputs[0] if added is None else added[0].outputs[0]


def projection(value: ir.Value | None, role: str) -> Projection:
    """The projection that computes `value`.

    Raises:
        MismatchError: something else does.
    """
    node = maker(value, role, "MatMul", "Add")
    product, bias = (node, None) if node.op_type == "MatMul" else made_from(node, role, "MatMul")
    weight = weight_of(product)
    if weight is None:
        raise MismatchError(f"{product.name} multiplies by no transposed weight")
    if bias is not None:
        found = added_bias(product)
        expect(found is not None and found[1] is bias, node, f"adds {bias.name} to {role}, expected a bias alone")
    return Projection(product, bias, weight)


def added_bias(product: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """The addition of a bias to a matrix product, and the bias; None where the product is read otherwise too."""
    uses = list(product.outputs[0].uses())
    add = uses[0].node if len(uses) == 1 else None
    if add is None or add.op_type != "Add":
        return None
    bias = other(add, product.outputs[0])
    is_bias = bias.is_initializer() and bias.shape is not None and len(bias.shape) == 1
    return (add, bias) if is_bias else None
