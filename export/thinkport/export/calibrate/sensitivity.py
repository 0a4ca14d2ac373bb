"""How much rounding each matrix would move the model's predictions: its share of the KL divergence, in nats a position.

To second order, an error `e` in a matrix's output costs half the mean square of `g · e`, with `g` the gradient of the
log-probability of a token drawn from the model's own prediction: the Fisher information (Amari 1998, Natural Gradient).
What rounding leaves is known without rounding: column by column, an error that is spread evenly over the step of its
group, less what later columns make up for (see `quantize.compensate`). On SmolLM2-135M the logarithms of these losses
and of measured ones, a layer's packed matrices at a time, correlate by 0.96.

Weights are streamed: a layer is run forwards once more to go back through it, and one block of a matrix is held. What
entered each layer is kept in bfloat16: 700 tokens of an 8B are 210 MB.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from thinkport.export.calibrate.residuals import residuals
from thinkport.export.calibrate.texts import SAMPLE, SOME_TOKENS, calibration_texts
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.families import DecoderShape, Family
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.reference.decoder import Decoder, Packed
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.export.trace.names import EMBEDDING, layer_of

_ROWS = 256  # tokens whose logits are held: lm_head is read again for each so many
_SEED = 20
_UNIFORM = 1 / 12  # the variance of an error that is spread evenly over one step


@dataclass(frozen=True, kw_only=True)
class _Differentiable(StreamedWeights):
    """Streamed weights whose products can be gone back through.

    Attributes:
        how: how a matrix is rounded; None where it isn't.
        halves: which half of the texts each token is of, bool (tokens,).
        losses: what rounding each matrix costs, added up over the tokens that were gone back through.
        gone_back: is told the bytes of the layers' weights that are done.
        left: what `spared` gave last, behind the inputs that it was for: several matrices read the same.
    """

    how: Callable[[str], RoleRecipe | None]
    halves: torch.Tensor
    gone_back: Callable[[int], None]
    losses: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    left: list[torch.Tensor] = field(default_factory=list)

    def linear(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """See `StreamedWeights.linear`."""
        found: torch.Tensor = _Product.apply(inputs, self, name)  # type: ignore[no-untyped-call]
        return found

    def product(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """The product, which can't be gone back through."""
        return super().linear(name, inputs)

    def back(self, name: str, inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient (tokens, k) of a product's inputs by that of its outputs, (tokens, n); counts the losses."""
        back, how = torch.zeros_like(inputs), self.how(name)
        for start, weights in self.checkpoint.blocks(name, self.block_bytes):
            rows, block = gradient[:, start : start + len(weights)], torch.from_numpy(weights)
            back += rows @ block
            if how is not None:
                self.losses[name] += _loss(rows, self._left(inputs), block, how.for_rows(block.shape[1]))
            if layer_of(name) is not None:
                self.gone_back(weights.nbytes)
        return back

    def looked_up(self, name: str, ids: torch.Tensor, gradient: torch.Tensor) -> None:
        """Count what rounding a table costs where its rows `ids` are taken, by their gradient (tokens, k).

        Nothing makes up for its errors there.
        """
        how = self.how(name)
        if how is not None:
            how = how.for_rows(gradient.shape[1])
            steps = _steps(self.rows(name, ids), how)
            self.losses[name] += float((_energy(gradient, how) * steps.square()).sum()) * _UNIFORM / 2

    def spared(self, inputs: torch.Tensor) -> torch.Tensor:
        """What a column's own rounding error is multiplied with, (tokens, k), where later columns make up for the rest.

        By how much they do is taken from the other half of the texts, as a finished model meets texts of its own.
        """
        left = torch.empty_like(inputs)
        for here in (self.halves, ~self.halves):
            left[here] = residuals(inputs[here], inputs[~here])
        return left

    def _left(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.left or self.left[0].data_ptr() != inputs.data_ptr():
            self.left[:] = [inputs, self.spared(inputs)]
        return self.left[1]


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weights: _Differentiable, name: str) -> torch.Tensor:
        ctx.inputs, ctx.weights, ctx.name = inputs.detach(), weights, name
        return weights.product(name, inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.weights.back(ctx.name, ctx.inputs, gradients[0]), None, None


def sensitivities(
    checkpoint: Checkpoint,
    family: Family,
    shape: DecoderShape,
    how: Callable[[str], RoleRecipe | None],
    *,
    advance: Callable[[int], None],
) -> dict[str, float]:
    """What rounding each matrix as `how` says costs, by name, in nats a position over some calibration texts.

    Without an lm_head it is what a cosine similarity with the unrounded hidden state loses, in place of nats. A tied
    table costs what it does as lm_head and as embedding. `advance` is told the bytes of the layers' weights that are
    done.

    Raises:
        CheckpointError: a weight can't be read.
        ThinkportError: the tokenizer or the chat template can't be used.
    """
    texts = calibration_texts(checkpoint, shape.vocab_size, SOME_TOKENS, SAMPLE)
    packed = Packed(tuple(len(ids) for ids in texts))
    halves = torch.cat([torch.full((length,), bool(index % 2)) for index, length in enumerate(packed.lengths)])
    weights = _Differentiable(checkpoint=checkpoint, advance=lambda _: None, how=how, halves=halves, gone_back=advance)
    decoder = family.decoder(weights, shape)
    with torch.no_grad():
        hidden, states = decoder.embed(torch.from_numpy(np.concatenate(texts))), []
        for index in range(shape.layers):
            states.append(hidden.bfloat16())
            hidden = decoder.layer(index, hidden, packed)
    gradient = _of_predictions(decoder, weights, hidden) if shape.head else _of_directions(decoder, hidden)
    for index in reversed(range(shape.layers)):
        entering = states[index].float().requires_grad_()
        decoder.layer(index, entering, packed).backward(gradient)  # type: ignore[no-untyped-call]
        assert entering.grad is not None
        gradient = entering.grad
    weights.looked_up(EMBEDDING, torch.from_numpy(np.concatenate(texts)), weights.turned(gradient))
    return {name: loss / len(halves) for name, loss in weights.losses.items()}


def _of_predictions(decoder: Decoder, weights: _Differentiable, last: torch.Tensor) -> torch.Tensor:
    """The gradient, of the last hidden states, of the log-probability of a token drawn at each position."""
    draw = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        left = weights.spared(decoder.head_inputs(last))
    found = []
    for hidden, own in zip(last.split(_ROWS), left.split(_ROWS), strict=True):  # type: ignore[no-untyped-call]
        hidden.requires_grad_()
        logits = decoder.logits(hidden)
        share = logits.detach().softmax(-1)
        drawn = _drawn(share, draw)
        weights.left[:] = [logits.grad_fn.inputs, own]  # type: ignore[union-attr]  # the function's context
        logits.backward(share.neg_().scatter_add_(1, drawn, torch.ones_like(drawn, dtype=share.dtype)))  # type: ignore[no-untyped-call]
        assert hidden.grad is not None
        found.append(hidden.grad)
    return torch.cat(found)


def _drawn(share: torch.Tensor, by: torch.Generator) -> torch.Tensor:
    """A token of each row's probabilities (rows, vocabulary), int64 (rows, 1); multinomial is eight times slower."""
    below = share.cumsum(-1)
    at = torch.rand(len(share), 1, generator=by) * below[:, -1:]
    return torch.searchsorted(below, at).clamp_(max=share.shape[-1] - 1)


def _of_directions(decoder: Decoder, last: torch.Tensor) -> torch.Tensor:
    """The gradient, of the last hidden states, of their components along random axes at right angles to them.

    An error `e` at right angles to an output `h` lowers the cosine by |e|² / 2|h|², half the mean square over the axes.
    """
    draw = torch.Generator().manual_seed(_SEED)
    outputs = decoder.head_inputs(last.requires_grad_())
    length = outputs.detach().norm(dim=-1, keepdim=True)
    along, noise = outputs.detach() / length, torch.randn(outputs.shape, generator=draw)
    outputs.backward((noise - (noise * along).sum(-1, keepdim=True) * along) / length)  # type: ignore[no-untyped-call]
    assert last.grad is not None
    return last.grad


def _loss(gradient: torch.Tensor, left: torch.Tensor, block: torch.Tensor, how: RoleRecipe) -> float:
    """Half of the squared `g · e`, expected and added up over tokens, for rows of a matrix.

    `gradient` (tokens, rows), `left` (tokens, k), `block` (rows, k).
    """
    steps = _steps(block, how)
    return float((gradient.square() * (_energy(left, how) @ (steps.square() * _UNIFORM).T)).sum()) / 2


def _energy(values: torch.Tensor, how: RoleRecipe) -> torch.Tensor:
    """Squared sums of each group of columns, (tokens, groups)."""
    return values.square().reshape(len(values), -1, how.group_size).sum(-1)


def _steps(block: torch.Tensor, how: RoleRecipe) -> torch.Tensor:
    """What one code of each group stands for, (rows, groups)."""
    groups = block.reshape(len(block), -1, how.group_size)
    steps: torch.Tensor = torch.maximum(groups.amax(-1), -groups.amin(-1)) / 2 ** (how.bits - 1)
    return steps
