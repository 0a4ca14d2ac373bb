"""No fusion changes what the graph computes: after each pass the logits are those before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from tests.export.passes.graphs import run
from tests.export.planned import planned
from tests.export.trace.traced import nano, random_weights, traced

from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.pipeline import Pipeline

SEQUENCE = 6


def feeds(past: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng()
    cache = {
        f"past_key_values.{layer}.{part}": generator.normal(size=(1, 2, past, 128)).astype(np.float32)
        for layer in range(2)
        for part in ("key", "value")
    }
    ids = generator.integers(0, 512, (1, SEQUENCE))
    return {"input_ids": ids, "attention_mask": np.ones((1, past + SEQUENCE), np.int64)} | cache


def outputs(
    model: ir.Model, given: Mapping[str, NDArray[Any]], weights: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[Any]]:
    asked = {"logits_to_keep": np.array([SEQUENCE])} if "logits_to_keep" in model.graph.initializers else {}
    return run(model, dict(given) | asked, weights)


@pytest.mark.parametrize("past", [0, 5])
def test_each_pass_keeps_logits_and_cache(past: int) -> None:
    family, shape = nano()
    model, weights, given = traced(), random_weights(), feeds(past)
    wanted = outputs(model, given, weights)
    for graph_pass in Pipeline(family=family, shape=shape).passes(planned()):
        graph_pass(model)
        CleanUp()(model)  # what lost its readers may stand before what it reads
        found = outputs(model, given, weights)
        for name, array in wanted.items():
            error = np.abs(found[name] - array).max() / np.abs(array).max()
            assert error <= 1e-5, f"{name} changed by {error:.1e} in {graph_pass.name}"
