"""Walking a graph from a value to what made it."""

import onnx_ir as ir


def made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The node that computes `value` if it is an `op_type`, else None."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type else None


def operand(node: ir.Node | None, index: int) -> ir.Value | None:
    """An input of a node that may not have been found."""
    return None if node is None or index >= len(node.inputs) else node.inputs[index]


def made_from(node: ir.Node | None, op_type: str) -> tuple[ir.Node, ir.Value] | None:
    """Of a commutative two-operand node: the operand that an `op_type` computes (its node), and the other operand."""
    for index in range(2):
        found = made_by(operand(node, index), op_type)
        other = operand(node, 1 - index)
        if found is not None and other is not None:
            return found, other
    return None


def through(value: ir.Value | None, *op_types: str) -> ir.Value | None:
    """Follow first inputs upward through exactly these operators, nearest first."""
    for op_type in op_types:
        value = operand(made_by(value, op_type), 0)
    return value


def self_gated(product: ir.Node | None) -> ir.Value | None:
    """x of x · sigmoid(x), which is SiLU."""
    for index in range(2):
        x = operand(product, index)
        if x is not None and operand(made_by(operand(product, 1 - index), "Sigmoid"), 0) is x:
            return x
    return None


def weight_of(matmul: ir.Node | None) -> ir.Value | None:
    """The (rows, columns) checkpoint weight W of a `MatMul(x, Transpose(W))`."""
    weight = through(operand(matmul, 1), "Transpose")
    return weight if weight is not None and weight.is_initializer() else None
