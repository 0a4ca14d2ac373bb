"""The cut before lm_head, and the optional input that drives it."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, graph, integers, normal, ops, run
from tests.export.trace.traced import traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.last_rows import LastRows

HEAD = """g (float[2,5,8] hidden) => (float[2,5,16] logits) {
    table = Transpose<perm=[1,0]>(weight)
    logits = MatMul(hidden, table)
}"""


def cut() -> tuple[ir.Model, ir.Model]:
    whole = graph(HEAD, weight=normal(16, 8))
    model = whole.clone()
    assert fired(LastRows(), model) == 1
    CleanUp()(model)
    return whole, model


def test_by_default_the_last_row_alone_is_computed() -> None:
    whole, model = cut()
    feeds = {"hidden": normal(2, 5, 8)}
    np.testing.assert_array_equal(run(model, feeds)["logits"], run(whole, feeds)["logits"][:, -1:])


@pytest.mark.parametrize(("asked", "rows"), [(3, 3), (5, 5), (9, 5)])
def test_more_rows_are_computed_where_they_are_asked_for(asked: int, rows: int) -> None:
    whole, model = cut()
    feeds = {"hidden": normal(2, 5, 8)}
    found = run(model, feeds | {"logits_to_keep": integers(asked)})["logits"]
    assert found.shape == (2, rows, 16)
    np.testing.assert_allclose(found, run(whole, feeds)["logits"][:, -rows:], rtol=1e-5, atol=1e-6)


def test_the_input_is_optional_and_stays_so_behind_every_clean_up() -> None:
    _, model = cut()
    keep = next(value for value in model.graph.inputs if value.name == "logits_to_keep")
    assert keep is model.graph.initializers["logits_to_keep"]
    assert keep.const_value is not None
    assert keep.const_value.numpy().tolist() == [1]


def test_the_number_of_rows_is_declared_as_a_symbol() -> None:
    model = traced(2, LastRows())
    logits = next(value for value in model.graph.outputs if value.name == "logits")
    assert [str(dim) for dim in logits.shape or ()] == ["batch_size", "rows", "512"]


def test_logits_that_no_projection_makes_are_left_alone_and_fail_the_export() -> None:
    model = graph("g (float[2,5,8] hidden) => (float[2,5,8] logits) { logits = Softmax(hidden) }")
    with pytest.raises(GraphError, match="pass last_rows fired 0 times outside the layers, expected 1"):
        LastRows()(model)
    assert ops(model) == ["Softmax"]
    assert len(model.graph.inputs) == 1
