"""Nothing unread stays, but for what a caller may feed."""

import numpy as np
from tests.export.passes.graphs import fired, graph, integers, normal, ops, run

from thinkport.export.passes.clean_up import CleanUp

UNREAD = """g (float[2,4] x, int64[1] logits_to_keep) => (float[2,4] y) {
    twice = Add(x, dead)
    deader = Neg(twice)
    y = Mul(x, read)
}"""


def test_unread_nodes_and_initializers_go_and_the_numbers_stay() -> None:
    model = graph(UNREAD, dead=normal(4), read=normal(4))
    feeds = {"x": normal(2, 4), "logits_to_keep": integers(1)}
    before = run(model, feeds)["y"]
    assert fired(CleanUp(), model) == 0
    assert ops(model) == ["Mul"]
    assert list(model.graph.initializers) == ["read"]
    np.testing.assert_array_equal(run(model, feeds)["y"], before)


def test_an_input_with_a_default_stays_though_nothing_reads_it() -> None:
    model = graph(UNREAD, dead=normal(4), read=normal(4))
    keep = model.graph.inputs[1]
    keep.const_value = graph(UNREAD, dead=integers(1), read=normal(4)).graph.initializers["dead"].const_value
    model.graph.register_initializer(keep)
    CleanUp()(model)
    assert set(model.graph.initializers) == {"read", "logits_to_keep"}
    assert [value.name for value in model.graph.inputs] == ["x", "logits_to_keep"]


def test_a_clean_graph_is_left_alone_and_no_count_is_asked_for() -> None:
    model = graph("g (float[2,4] x) => (float[2,4] y) { y = Mul(x, read) }", read=normal(4))
    assert CleanUp().expected(layers=3) == {}
    CleanUp()(model)
    assert ops(model) == ["Mul"]
    assert list(model.graph.initializers) == ["read"]


def test_a_domain_that_no_node_uses_is_not_imported() -> None:
    model = graph("g (float[2,4] x) => (float[2,4] y) { y = Mul(x, read) }", read=normal(4))
    CleanUp()(model)
    assert set(model.graph.opset_imports) == {""}
