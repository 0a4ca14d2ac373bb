"""What rounding a matrix costs is foretold without rounding it: held against what it costs a trained model."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.parity.reference import fresh_ids
from tests.export.trace.checkpoints import narrow_checkpoint
from transformers import AutoModelForCausalLM

from thinkport.export.calibrate import LayerInputs, sensitivities
from thinkport.export.calibrate.sensitivity import _Differentiable
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.families import family_of, shape_of
from thinkport.export.quantize.compensate import compensation, quantize_compensated
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.quantize.rounding import quantize_rows
from thinkport.export.reference.decoder import Packed
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.export.trace.names import EMBEDDING
from thinkport.runtime.artifact.manifest import Task
from thinkport.runtime.prompt.tokenizer import Tokenizer

Measure = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
HOW = RoleRecipe(group_size=32)
TEXTS = (
    "The tide comes in twice a day, and the boats rise with it.",
    "def area(r):\n    return 3.14 * r * r",
    "17 + 25 = 42",
)


def test_gradients_through_streamed_weights_are_torchs_own(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(narrow_checkpoint(tmp_path / "narrow"))
    family = family_of(checkpoint.config)
    shape, packed = family.shape(checkpoint.config), Packed((5, 9))
    ids = torch.from_numpy(fresh_ids(512, 1, 14)[0])
    halves = torch.arange(14) < 5
    found = []
    for weights in (
        StreamedWeights(checkpoint=checkpoint, advance=lambda _: None, block_bytes=5000),
        _Differentiable(
            checkpoint=checkpoint,
            advance=lambda _: None,
            block_bytes=5000,
            how=lambda _: None,
            halves=halves,
            gone_back=lambda _: None,
        ),
    ):
        decoder = family.decoder(weights, shape)
        entering = decoder.embed(ids).requires_grad_()
        hidden = entering
        for layer in range(shape.layers):
            hidden = decoder.layer(layer, hidden, packed)
        decoder.logits(hidden).square().mean().backward()
        assert entering.grad is not None
        found.append(entering.grad)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-4 * found[0].abs().max().item())


def divergence(model: Any, ids: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """The mean KL divergence of the next-token distributions from the logits that were expected, in nats."""
    p = expected.log_softmax(-1)
    return (p.exp() * (p - model(ids).logits.log_softmax(-1))).sum(-1).mean()


def turn(model: Any, ids: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """What the cosine similarities with the hidden states that were expected lose, on average."""
    return (1 - torch.cosine_similarity(model.model(ids).last_hidden_state, expected, dim=-1)).mean()


@pytest.mark.parametrize(("task", "measure"), [(Task.CHAT, divergence), (Task.EMBEDDING, turn)])
@torch.inference_mode()
def test_they_order_matrices_as_their_measured_losses_do(nano_checkpoint: Path, task: Task, measure: Measure) -> None:
    checkpoint = open_checkpoint(nano_checkpoint, task=task)
    family, shape = family_of(checkpoint.config), shape_of(checkpoint)
    told: list[int] = []
    with torch.inference_mode(mode=False):
        losses = sensitivities(
            checkpoint,
            family,
            shape,
            lambda name: HOW if family.role(name) != "norm" else None,
            advance=told.append,
        )
    matrices = {
        name: size for name, size in family.expected_tensors(shape).items() if ".layers." in name and len(size) == 2
    }
    assert sum(told) == 4 * sum(map(math.prod, matrices.values()))
    model = AutoModelForCausalLM.from_pretrained(nano_checkpoint, dtype=torch.float32).eval()
    tokenizer, weights = Tokenizer.from_file(nano_checkpoint / "tokenizer.json"), model.state_dict()
    texts = [torch.tensor([tokenizer.encode(text)]) for text in TEXTS]
    expected = [model(ids).logits if shape.head else model.model(ids).last_hidden_state for ids in texts]
    inputs, measured = LayerInputs(checkpoint, family, shape), []
    branches = family.branches(shape)
    for names in (names for branch in branches for names in (branch.readers, branch.writers)):
        before = {name: weights[name].clone() for name in names}
        for name in names:
            heard = inputs.of(name)
            assert heard is not None
            rounded = quantize_compensated(
                weights[name].numpy().copy(), compensation(heard), bits=4, group_size=HOW.group_size
            )
            codes = rounded.codes.astype(np.float32).reshape(len(rounded.scales), -1, HOW.group_size) - 8
            weights[name].copy_(torch.from_numpy((codes * rounded.scales[:, :, None]).reshape(weights[name].shape)))
        lost = [measure(model, ids, right) for ids, right in zip(texts, expected, strict=True)]
        measured.append((sum(losses[name] for name in names), float(sum(lost)) / len(texts)))
        for name, weight in before.items():
            weights[name].copy_(weight)
    foretold, found = np.log(np.array(measured)).T
    correlation = np.corrcoef(foretold, found)[0, 1]
    print(f"{len(measured)} groups of matrices, correlation {correlation:.3f}")
    assert correlation > 0.6


@pytest.mark.parametrize("bits", [4, 8])
@torch.inference_mode()
def test_a_table_costs_what_its_rounded_rows_lose_where_they_are_taken(nano_checkpoint: Path, bits: int) -> None:
    checkpoint, how = open_checkpoint(nano_checkpoint, task=Task.EMBEDDING), RoleRecipe(bits=bits, group_size=64)
    family, shape = family_of(checkpoint.config), shape_of(checkpoint)
    with torch.inference_mode(mode=False):
        losses = sensitivities(
            checkpoint, family, shape, lambda name: how if name == EMBEDDING else None, advance=lambda _: None
        )
    model = AutoModelForCausalLM.from_pretrained(nano_checkpoint, dtype=torch.float32).eval()
    tokenizer, table = Tokenizer.from_file(nano_checkpoint / "tokenizer.json"), model.model.embed_tokens.weight
    texts = [torch.tensor([tokenizer.encode(text)]) for text in TEXTS]
    expected = [model.model(ids).last_hidden_state for ids in texts]
    rounded = quantize_rows(table.numpy().copy(), bits=bits, group_size=64)
    codes = rounded.codes.astype(np.float32).reshape(len(rounded.scales), -1, 64) - 2 ** (bits - 1)
    table.copy_(torch.from_numpy((codes * rounded.scales[:, :, None]).reshape(table.shape)))
    lost = float(sum(turn(model, ids, right) for ids, right in zip(texts, expected, strict=True))) / len(texts)
    print(f"{bits} bits: foretold {losses[EMBEDDING]:.2e}, measured {lost:.2e}")
    assert losses.keys() == {EMBEDDING}
    assert 1 / 8 < losses[EMBEDDING] / lost < 8  # a token errs alike wherever it stands, which is not foreseen
