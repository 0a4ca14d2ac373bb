"""The graph that moves a KV buffer's first tokens into a buffer of another size."""

from thinkport.runtime.machine.onnx_fields import INT64, constant, model, node, value

VALUE, KEPT, ROOM, RESIZED = "x", "kept", "room", "y"
PADS = 8  # numbers in `room`
ROOM_AT = 6  # where the tokens of zeros stand among them

_TOKENS = 2  # the axis


def resize_graph(dtype: str) -> bytes:
    """An ONNX model: `y` is the first `kept` tokens of `x`, and zeros behind them.

    x and y (batch, kv_heads, tokens, head_dim) of `dtype`. kept int64 (1,), 1 or more. room int64 (PADS,), the operator
    Pad's input (onnx.ai/onnx/operators/onnx__Pad.html): the tokens of zeros at ROOM_AT, else 0.
    """
    return model(
        [node("Slice", (VALUE, "start", KEPT, "axis"), "first"), node("Pad", ("first", ROOM), RESIZED)],
        [value(VALUE, dtype, 4), value(KEPT, INT64, 1), value(ROOM, INT64, 1)],
        [value(RESIZED, dtype, 4)],
        [constant("start", 0), constant("axis", _TOKENS)],
    )
