"""What later columns leave of each column, held against a regression a column by the textbook."""

import numpy as np
import pytest
import torch

from thinkport.export.calibrate.residuals import residuals
from thinkport.export.quantize import compensate
from thinkport.export.quantize.compensate import DAMPING


def by_the_textbook(inputs: torch.Tensor, learned: torch.Tensor, width: int) -> np.ndarray:
    """Ridge regressions of each column on those behind it in its block of `width`, in float64."""
    here, there = inputs.double().numpy(), learned.double().numpy()
    found = here.copy()
    for column in range(here.shape[1]):
        block = slice(column // width * width, (column // width + 1) * width)
        later = slice(column + 1, block.stop)
        damping = DAMPING * np.square(there[:, block]).sum() / width
        moments = there[:, later].T @ there[:, later]
        moments += damping * np.eye(len(moments))
        found[:, column] -= here[:, later] @ np.linalg.solve(moments, there[:, later].T @ there[:, column])
    return found


def correlated(tokens: int, columns: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    mixed = torch.randn(tokens, 40, generator=draw) @ torch.randn(40, columns, generator=draw)
    return mixed + torch.randn(tokens, columns, generator=draw)


def test_residuals_are_those_of_a_regression_of_each_column_on_all_later_ones() -> None:
    values = correlated(90, 600)  # more than two steps
    found = residuals(values[:50], values[50:])
    np.testing.assert_allclose(found, by_the_textbook(values[:50], values[50:], 600), rtol=1e-3, atol=1e-3)
    assert found.square().mean() < 0.7 * values[:50].square().mean()


def test_columns_of_another_block_explain_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compensate, "MOST_COLUMNS", 256)
    values = correlated(60, 512)
    found = residuals(values[:30], values[30:])
    np.testing.assert_allclose(found, by_the_textbook(values[:30], values[30:], 256), rtol=1e-3, atol=1e-3)


def test_inputs_that_are_all_zero_explain_nothing() -> None:
    values = correlated(8, 64)
    np.testing.assert_allclose(residuals(values, torch.zeros(5, 64)), values, rtol=1e-5)
