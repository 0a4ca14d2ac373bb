"""Hidden states in place of logits, behind the cut of the last rows."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, graph, integers, normal, ops, run

from thinkport.export.errors import GraphError
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.headless import Headless
from thinkport.export.passes.last_rows import LastRows
from thinkport.export.trace.names import HIDDEN

HEAD = """g (float[2,5,8] x) => (float[2,5,16] logits) {
    hidden = Mul(x, scale)
    table = Transpose<perm=[1,0]>(weight)
    logits = MatMul(hidden, table)
}"""


def headless() -> ir.Model:
    model = graph(HEAD, weight=normal(16, 8), scale=np.full(8, 2, np.float32))
    for one in (LastRows(), Headless()):
        assert fired(one, model) == 1
    CleanUp()(model)
    return model


def test_the_output_is_the_last_row_of_what_lm_head_was_multiplied_with() -> None:
    model, feeds = headless(), {"x": normal(2, 5, 8)}
    np.testing.assert_array_equal(run(model, feeds)[HIDDEN], 2 * feeds["x"][:, -1:])
    assert "MatMul" not in ops(model)
    assert "weight" not in model.graph.initializers


def test_more_rows_come_where_they_are_asked_for_and_the_output_says_how_wide_it_is() -> None:
    model, feeds = headless(), {"x": normal(2, 5, 8)}
    np.testing.assert_array_equal(run(model, feeds | {"logits_to_keep": integers(3)})[HIDDEN], 2 * feeds["x"][:, -3:])
    assert [*(model.graph.outputs[0].shape or ())] == [2, "rows", 8]


def test_logits_that_come_from_no_projection_fail_the_export() -> None:
    model = graph("g (float[2,5,8] x) => (float[2,5,8] logits) { logits = Mul(x, x) }")
    with pytest.raises(GraphError, match="pass headless fired 0 times outside the layers, expected 1"):
        Headless()(model)
