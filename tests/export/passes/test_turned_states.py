"""Hidden states are turned behind the embedding and back at the end, and what the graph computes stays the same."""

from functools import partial

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import fired, graph, normal, ops, run
from tests.export.trace.traced import nano, node, random_weights, traced

from thinkport.export.errors import GraphError
from thinkport.export.passes.norms import RmsNorm, SkipNorm
from thinkport.export.passes.turned_states import TurnedStates
from thinkport.export.quantize.rotation import Rotation

LAYERS, BATCH, SEQUENCE, PAST = 2, 3, 6, 5


def turned_weights(plain: dict[str, np.ndarray], block: int) -> dict[str, np.ndarray]:
    family, shape = nano(LAYERS)
    branches = family.branches(shape)
    rotation = Rotation(
        block=block,
        gains={name: plain[branch.norm] for branch in branches for name in branch.readers},
        norms=frozenset(branch.norm for branch in branches),
        writers=frozenset(name for branch in branches for name in branch.writers),
    )
    return {name: rotation.rows(name, 0, len(weight), partial(rows_of, weight)) for name, weight in plain.items()}


def rows_of(weight: np.ndarray, start: int, stop: int) -> np.ndarray:
    return weight[start:stop].copy()


def feeds(past: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng()
    cache = {
        f"past_key_values.{layer}.{part}": generator.normal(size=(BATCH, 2, past, 128)).astype(np.float32)
        for layer in range(LAYERS)
        for part in ("key", "value")
    }
    mask = np.ones((BATCH, past + SEQUENCE), np.int64)
    mask[1, :2] = 0  # padding in front of a row
    return {"input_ids": generator.integers(0, 512, (BATCH, SEQUENCE)), "attention_mask": mask} | cache


@pytest.mark.parametrize("block", [8, 64])
@pytest.mark.parametrize("past", [0, PAST])
def test_turned_weights_give_the_logits_and_the_cache_of_plain_ones(block: int, past: int) -> None:
    plain, given, weights = traced(LAYERS), feeds(past), random_weights(LAYERS)
    wanted = run(plain, given, weights)
    model = plain.clone()
    assert fired(TurnedStates(block=block), model) == 2
    assert ops(model).count("MatMul") == ops(plain).count("MatMul") + 2
    found = run(model, given, turned_weights(weights, block))
    for name, array in wanted.items():
        assert np.abs(found[name] - array).max() <= 1e-4 * np.abs(array).max(), name
    other = run(plain, given, turned_weights(weights, block))["logits"]
    assert np.abs(other - wanted["logits"]).max() > 0.1 * np.abs(wanted["logits"]).max()


def test_the_final_norm_is_still_fused_with_the_last_addition() -> None:
    model = traced(LAYERS, TurnedStates(block=64), RmsNorm(per_layer=4), SkipNorm())
    last = node(model, "norm.SkipSimplifiedLayerNormalization")
    unit = last.inputs[2]
    assert unit is not None
    assert unit.const_value is not None
    assert (unit.const_value.numpy() == 1).all()
    assert node(model, "norm.MatMul_turn").inputs[1] is node(model, "embed_tokens.MatMul_turn").inputs[1]


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2,5,8] x) => (float[2,5,8] logits) { logits = Softmax(x) }",
        """g (float[2,5,8] x) => (float[2,5,16] logits) {
            hidden = Mul(x, x)
            table = Transpose<perm=[1,0]>(weight)
            logits = MatMul(hidden, table)
        }""",
    ],
    ids=["no head", "no norm"],
)
def test_a_graph_with_another_end_is_left_alone_and_fails_the_export(text: str) -> None:
    model: ir.Model = graph(text, weight=normal(16, 8))
    before = ops(model)
    with pytest.raises(GraphError, match="pass turned_states fired 0 times outside the layers, expected 2"):
        TurnedStates(block=8)(model)
    assert ops(model) == before
