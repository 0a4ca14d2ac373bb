"""ONNX models of one node, to find out what a device computes."""

from thinkport.runtime.machine.onnx_fields import model, node, value


def one_node_model(operator: str, dtype: str, *, rank: int) -> bytes:
    """An ONNX model whose output `y` is an operator's of its input `x`, both of `rank` dimensions of any size."""
    return model([node(operator, ["x"], "y")], [value("x", dtype, rank)], [value("y", dtype, rank)])
