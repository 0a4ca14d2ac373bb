"""Small graphs as bytes: nodes, and the dtypes of what feeds them."""

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import TensorProto, helper

MICROSOFT = "com.microsoft"
INT64, FLOAT, HALF, INT32, UINT8, INT8 = (
    TensorProto.INT64,
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT32,
    TensorProto.UINT8,
    TensorProto.INT8,
)


def graph(
    *nodes: onnx.NodeProto,
    opset: int = 21,
    constants: Any = None,
    noted: Any = None,
    **inputs: int,
) -> bytes:
    """`inputs` and `noted` map names to dtypes, `constants` to (dtype, elements), with zeros for values."""
    zeros = [
        helper.make_tensor(name, dtype, [count], bytes(count * (8 if dtype == INT64 else 4)), raw=True)
        for name, (dtype, count) in (constants or {}).items()
    ]
    feeds = [helper.make_tensor_value_info(name, dtype, None) for name, dtype in inputs.items()]
    notes = [helper.make_tensor_value_info(name, dtype, None) for name, dtype in (noted or {}).items()]
    model = helper.make_model(
        helper.make_graph(list(nodes), "g", feeds, [], initializer=zeros, value_info=notes),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)],
    )
    raw: bytes = model.SerializeToString()
    return raw


def attention(
    *,
    dtype: int = HALF,
    cache: int | None = None,
    without: tuple[str, ...] = (),
    also: Mapping[int, int] | None = None,
    **attributes: Any,
) -> bytes:
    """One GroupQueryAttention that every provider takes, until something is changed about it."""
    names = ["q", "k", "v", "past_k", "past_v", "seqlens_k", "total"]
    extra = dict(also or {})
    inputs = ["" if name in without else name for name in names] + [""] * (max(extra, default=6) - 6)
    for index in extra:
        inputs[index] = f"extra_{index}"
    attributes = {"num_heads": 4, "kv_num_heads": 2, **attributes}
    node = helper.make_node(
        "GroupQueryAttention", inputs, ["y", "new_k", "new_v"], "attention", domain=MICROSOFT, **attributes
    )
    dtypes = {"q": dtype, "k": dtype, "v": dtype, "past_k": cache or dtype, "past_v": cache or dtype}
    dtypes |= {"seqlens_k": INT32, "total": INT32} | {f"extra_{index}": kind for index, kind in extra.items()}
    return graph(node, **{name: kind for name, kind in dtypes.items() if name not in without})


def matmul(*, dtype: int = HALF, also: Mapping[int, int] | None = None, **attributes: Any) -> bytes:
    """One MatMulNBits that every provider takes, until something is changed about it."""
    extra = dict(also or {})
    inputs = ["x", "codes", "scales", *("" for _ in range(max(extra, default=2) - 2))]
    for index in extra:
        inputs[index] = f"extra_{index}"
    attributes = {"N": 64, "K": 256, "bits": 4, "block_size": 64, **attributes}
    node = helper.make_node("MatMulNBits", inputs, ["y"], "product", domain=MICROSOFT, **attributes)
    kinds = {f"extra_{index}": kind for index, kind in extra.items()}
    return graph(node, x=dtype, codes=UINT8, scales=dtype, **kinds)
