"""A turned checkpoint computes what the plain one does, and its blocks are those of the whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.trace.checkpoints import LLAMA, MIXTURE, QWEN2, narrow_checkpoint

from thinkport.export.calibrate import LayerInputs
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.checkpoint.rotated import rotated
from thinkport.export.families import family_of, shape_of
from thinkport.export.quantize.rotation import block_of
from thinkport.export.reference.logits import reference_logits
from thinkport.export.reference.streamed_weights import StreamedWeights

FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "qwen3 of 96 channels": {"hidden_size": 96},
    "llama": LLAMA,
    "biases": QWEN2,
    "experts": MIXTURE | {"mlp_only_layers": [1]},
}


@pytest.fixture(scope="module", params=FAMILIES)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("rotated") / "checkpoint"
    return open_checkpoint(narrow_checkpoint(folder, **FAMILIES[request.param]))


def turned(checkpoint: Checkpoint) -> Checkpoint:
    shape = shape_of(checkpoint)
    return rotated(checkpoint, family_of(checkpoint.config).branches(shape), block_of(shape.hidden_size))


def logits(checkpoint: Checkpoint, ids: np.ndarray) -> np.ndarray:
    shape = shape_of(checkpoint)
    weights = StreamedWeights(checkpoint=checkpoint, advance=lambda _: None)
    return reference_logits(family_of(checkpoint.config).decoder(weights, shape), shape.layers, [ids])[0]


def check_same(found: Checkpoint, wanted: Checkpoint) -> None:
    ids = np.random.default_rng().integers(0, 512, 40)
    before, after = logits(wanted, ids), logits(found, ids)
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


def test_it_computes_the_same_function(plain: Checkpoint) -> None:
    found = turned(plain)
    name = "model.layers.1.self_attn.q_proj.weight"
    assert np.abs(found.read(name) - plain.read(name)).max() > 0.1  # and is another one
    check_same(found, plain)


def test_every_matrix_of_a_layer_is_turned_and_no_table_and_no_norm_of_heads(plain: Checkpoint) -> None:
    found = turned(plain)
    for name, entry in plain.tensors.items():
        same = np.array_equal(found.read(name), plain.read(name))
        outside = ".layers." not in name or name.endswith(("q_norm.weight", "k_norm.weight", ".bias"))
        assert same == outside, name
        if entry.shape == (shape_of(plain).hidden_size,) and not outside:
            assert (found.read(name) == 1).all()


def test_calibration_sees_hidden_states_turned_and_lm_head_as_it_is(plain: Checkpoint) -> None:
    family, shape = family_of(plain.config), shape_of(plain)
    both = [LayerInputs(checkpoint, family, shape) for checkpoint in (plain, turned(plain))]
    before, after = (inputs.of("model.layers.0.self_attn.q_proj.weight") for inputs in both)
    assert before is not None
    assert after is not None
    assert np.abs(after - before).max() > 0.1
    before, after = (inputs.of("lm_head.weight") for inputs in both)
    assert before is not None
    assert after is not None
    off = np.abs(after - before).max(axis=1)  # an expert that nearly ties with another one changes the rest of a text
    assert np.quantile(off, 0.9) < 1e-3


def test_keys_that_are_divided_and_queries_that_make_up_for_it_give_the_same_function(plain: Checkpoint) -> None:
    family, shape = family_of(plain.config), shape_of(plain)
    heads = 1 if shape.head_norms else shape.kv_heads
    rows_by: dict[str, np.ndarray] = {}
    for layer in range(shape.layers):
        halves = np.random.default_rng().uniform(0.1, 10, (heads, shape.head_dim // 2))
        rows_by |= family.key_divisors(layer, np.tile(halves, (1, 2)).astype(np.float32), shape)
    for checkpoint in (plain, turned(plain)):
        found = checkpoint.divided(rows_by)
        name = next(iter(rows_by))
        assert not np.array_equal(found.read(name), checkpoint.read(name))
        check_same(found, plain)


def test_blocks_are_the_rows_of_the_whole(plain: Checkpoint) -> None:
    found = turned(plain)
    for name in found.rotation.writers if found.rotation else ():
        whole = np.concatenate([block for _, block in found.blocks(name, 3000)])
        np.testing.assert_allclose(whole, found.read(name), atol=1e-6)


def test_gradients_go_back_through_what_turns(plain: Checkpoint) -> None:
    shape, family = shape_of(plain), family_of(plain.config)
    found = []
    for checkpoint in (plain, turned(plain)):
        decoder = family.decoder(StreamedWeights(checkpoint=checkpoint, advance=lambda _: None), shape)
        hidden = decoder.embed(torch.arange(9)).detach().requires_grad_()
        decoder.head_inputs(hidden).sum().backward()
        assert hidden.grad is not None
        found.append(hidden.grad.norm())
    torch.testing.assert_close(*found)


def test_the_files_of_a_checkpoint_stay_as_they_are(nano_checkpoint: Path) -> None:
    opened = open_checkpoint(nano_checkpoint)
    found = turned(opened)
    assert found.tensors == opened.tensors
    assert opened.rotation is None
