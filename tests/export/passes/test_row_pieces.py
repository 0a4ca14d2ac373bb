"""Tables in pieces of rows: the numbers stay, no piece is larger than asked for, and tied tables are one."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from tests.export.passes.graphs import fired, graph, names_of, normal, ops, run

from thinkport.export.errors import GraphError
from thinkport.export.passes.row_pieces import RowPieces
from thinkport.export.quantize.packing import dequantize, pack, pack_points
from thinkport.export.trace.initializers import WeightSource, new_weight, source_of

ROWS, GROUP = 300, 32  # in groups that lookups take


def tied(bits: int, codes: NDArray[Any], scales: NDArray[Any]) -> ir.Model:
    """A lookup, and a product of given numbers with the same table, whose codes the writer will fill in."""
    settings = f"bits={bits}, block_size={GROUP}"
    text = f"""g (int64[B,N] ids, float[B,N,64] x) => (float[B,N,64] y, float[B,N,{ROWS}] logits) {{
        y = com.microsoft.GatherBlockQuantized<{settings}, gather_axis=0, quantize_axis=1>(table, ids, scales)
        logits = com.microsoft.MatMulNBits<K=64, N={ROWS}, {settings}>(x, codes, scales)
    }}"""
    flat = codes.reshape(ROWS, -1)
    model = graph(text, table=flat, codes=codes, scales=scales)
    source = WeightSource(tensors=("table",), part="codes", role="lm_head")
    for at, (name, array) in enumerate({"embed.table": flat, "embed.qweight": codes}.items()):
        value = new_weight(model.graph, name, ir.DataType.UINT8, array.shape, source)
        model.graph.node(at).replace_input_with(at, value)
        model.graph.node(at).name = f"embed.{model.graph.node(at).op_type}"
    return model


def parts(model: ir.Model, codes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The codes of every initializer that the writer fills in."""
    found = {}
    for name, value in model.graph.initializers.items():
        source = source_of(value)
        if source is not None:
            start, stop = source.rows or (0, ROWS)
            found[name] = codes[start:stop]
    return found


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("most", [1 << 20, 64 * 100, 64 * 64], ids=["whole", "a few pieces", "many"])
def test_pieces_look_up_and_multiply_as_the_whole_table_does(bits: int, most: int) -> None:
    random = np.random.default_rng()
    codes = pack(random.integers(0, 2**bits, (ROWS, 64)).astype(np.uint8), bits=bits, group_size=GROUP)
    scales = np.abs(normal(ROWS, 2)) + np.float32(0.1)
    model = tied(bits, codes, scales)
    ids = random.permutation(ROWS).reshape(2, -1)  # each row of the table
    feeds = {"ids": ids, "x": normal(2, ids.shape[1], 64)}
    assert fired(RowPieces(most=most), model) == 1
    names = {node.inputs[0].name for node in model.graph if node.op_type == "GatherBlockQuantized" and node.inputs[0]}
    read = [node.inputs[1] for node in model.graph if node.op_type == "MatMulNBits"]
    assert names == {value.name for value in read if value is not None}  # the very tensors
    assert len(names) == len(names_of(model, "GatherBlockQuantized"))
    cut = parts(model, codes)
    used = [array for name, array in cut.items() if name in names]
    assert max(array.nbytes for array in used) <= most
    assert sum(array.nbytes for array in used) == codes.nbytes
    found = run(model, feeds, cut)
    table = dequantize(codes, scales, bits=bits)
    np.testing.assert_array_equal(found["y"], table[ids])
    np.testing.assert_allclose(found["logits"], feeds["x"] @ table.T, rtol=1e-4, atol=1e-3)


def test_zero_points_and_biases_are_cut_with_their_rows() -> None:
    plain = np.random.default_rng().integers(0, 16, (ROWS, 64)).astype(np.uint8)
    points = np.random.default_rng().integers(0, 16, (ROWS, 2)).astype(np.uint8)
    text = f"""g (int64[1,N] ids, float[1,N,64] x) => (float[1,N,64] e, float[1,N,{ROWS}] y) {{
        e = com.microsoft.GatherBlockQuantized<bits=4, block_size={GROUP}, gather_axis=0, quantize_axis=1>(few, ids, of)
        y = com.microsoft.MatMulNBits<K=64, N={ROWS}, bits=4, block_size={GROUP}>(x, codes, scales, points,, bias)
    }}"""
    codes = pack(plain, bits=4, group_size=GROUP)
    scales, bias = normal(ROWS, 2), normal(ROWS)
    packed = pack_points(points, bits=4)
    model = graph(
        text, few=codes[:8].reshape(8, -1), of=scales[:8], codes=codes, scales=scales, points=packed, bias=bias
    )
    RowPieces(most=64 * 32)(model)
    assert ops(model).count("MatMulNBits") == 5
    x = normal(1, 3, 64)
    found = run(model, {"ids": np.array([[7, 0, 3]]), "x": x})["y"]
    table = dequantize(codes, scales, bits=4, points=packed)
    np.testing.assert_allclose(found, x @ table.T + bias, rtol=1e-4, atol=1e-3)


def test_a_graph_without_a_quantized_table_is_refused() -> None:
    model = graph("g (int64[1,3] ids) => (float[1,3,8] y) { y = Gather(table, ids) }", table=normal(16, 8))
    assert RowPieces(most=64).rewrite(model) == []
    with pytest.raises(GraphError, match="pass row_pieces fired 0 times outside the layers"):
        RowPieces(most=64)(model)
