"""Whole narrow models against transformers: every layer laid out, every variant of rotary and table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import Reference, fresh_ids
from tests.export.trace.checkpoints import narrow_checkpoint

BOUND = 1e-4
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}


def check(artifact: Path, reference: Reference, *, prefill: int) -> None:
    """A prefill, a chunk behind it and single tokens."""
    ids = fresh_ids(reference.vocabulary, 1, prefill + 12)
    driver = Driver(artifact)
    pieces = [(0, prefill), (prefill, prefill + 8), *((at, at + 1) for at in range(prefill + 8, prefill + 12))]
    found = [driver.step(ids[:, start:stop]) for start, stop in pieces]
    assert relative(np.concatenate(found, axis=1), reference.logits(ids)) <= BOUND


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return narrow_checkpoint(tmp_path_factory.mktemp("deep") / "deep", num_hidden_layers=28)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_28_laid_out_layers_give_pytorchs_logits(deep: Path, exported: Callable[..., Path], fuse: bool) -> None:
    check(exported(deep, precision="fp32", fuse=fuse), Reference(deep), prefill=33)


@pytest.fixture(scope="module")
def stretched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stretched") / "stretched"
    return narrow_checkpoint(folder, rope_scaling=YARN, tie_word_embeddings=False, num_hidden_layers=3)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_yarn_and_an_lm_head_of_its_own_give_pytorchs_logits(
    stretched: Path, exported: Callable[..., Path], fuse: bool
) -> None:
    check(exported(stretched, precision="fp32", fuse=fuse), Reference(stretched), prefill=300)


def test_yarn_is_not_what_plain_rotary_gives(stretched: Path) -> None:
    """Else the test above could pass with scaling ignored on both sides."""
    reference = Reference(stretched)
    ids = fresh_ids(reference.vocabulary, 1, 300)
    scaled = reference.logits(ids)
    rotary: Any = reference.model.model.rotary_emb
    rotary.inv_freq.copy_(1.0 / 10000 ** (torch.arange(0, 32, 2) / 32))
    rotary.attention_scaling = 1.0
    assert relative(reference.logits(ids), scaled) > 100 * BOUND


def test_the_frequencies_of_an_unfused_graph_are_rebuilt_for_it(stretched: Path, exported: Callable[..., Path]) -> None:
    graph = onnx.load(exported(stretched, precision="fp32", fuse=False) / "cpu.onnx", load_external_data=False).graph
    stored = next(t for t in graph.initializer if t.name == "model.rotary_emb.inv_freq")
    wanted = Reference(stretched).model.model.rotary_emb.inv_freq.numpy()
    np.testing.assert_allclose(onnx.numpy_helper.to_array(stored), wanted, rtol=1e-6)


@pytest.mark.parametrize("heads", [(4, 4), (4, 1)], ids=["as many KV heads as query heads", "one KV head"])
def test_any_share_of_kv_heads_gives_pytorchs_logits(
    tmp_path: Path, exported: Callable[..., Path], heads: tuple[int, int]
) -> None:
    checkpoint = narrow_checkpoint(
        tmp_path / "checkpoint", num_attention_heads=heads[0], num_key_value_heads=heads[1], num_hidden_layers=3
    )
    check(exported(checkpoint, precision="fp32"), Reference(checkpoint), prefill=21)
