"""What later columns of a matrix's inputs leave unexplained of each column, learned from other tokens.

Knows tensors only. Where `quantize.compensate` rounds a column, later columns make up for the part of its error that
they can express. What is left is the residual of a regression of the column on all later ones, with the same damping.

There are fewer tokens than columns, so the moments of tokens are inverted and not those of columns (Woodbury's
identity). At 350 tokens and 3,072 columns that takes a quarter of the time (measured: 0.25 against 1.14 s).
"""

import torch

from thinkport.export.quantize.compensate import DAMPING, block_width

_STEP = 256  # columns between two factorizations of the tokens' moments


def residuals(inputs: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
    """The residuals of `inputs`, float32 (tokens, k), by the regressions that `learned`, (other tokens, k), gives.

    As in a compensation, columns of different blocks explain nothing of one another.
    """
    found, width = torch.empty_like(inputs), block_width(inputs.shape[1])
    for start in range(0, inputs.shape[1], width):
        block = slice(start, start + width)
        found[:, block] = _residuals(inputs[:, block], learned[:, block])
    return found


def _residuals(inputs: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
    tokens, k = learned.shape
    damping = DAMPING * float(learned.square().sum()) / k or float(tokens)  # inputs that are all 0 explain nothing
    found, across = torch.empty_like(inputs), inputs.new_zeros(len(inputs), tokens)
    moments = damping * torch.eye(tokens)  # of the tokens, over the columns behind `stop`
    for stop in range(k, 0, -_STEP):
        columns = slice(max(0, stop - _STEP), stop)
        here, there = inputs[:, columns], learned[:, columns]
        weights = torch.cholesky_solve(there, torch.linalg.cholesky(moments))
        left = damping * (there.T @ weights)
        left.diagonal().add_(damping)
        found[:, columns] = _in_turn(here - across @ weights, left)
        moments += there @ there.T
        across += here @ there.T
    return found


def _in_turn(values: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """What later columns leave of each of few columns (tokens, columns), by their damped moments."""
    lower = torch.linalg.cholesky(moments.flip(0, 1))
    solved = torch.linalg.solve_triangular(lower, values.flip(1).T, upper=False)
    left: torch.Tensor = (solved * lower.diagonal()[:, None]).T.flip(1)
    return left
