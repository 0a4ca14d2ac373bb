"""What all tests of the export share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.export.trace.checkpoints import LLAMA, MIXTURE, QWEN2, WIDE, narrow_checkpoint, uneven_routers
from tests.made_once import made_once

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def traced_once(one_trace: None) -> None:
    """Exports in this process trace a model once."""


@pytest.fixture(scope="session")
def narrow_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with made-up weights."""
    return made_once(tmp_path_factory, ("llama",), "llama", lambda folder: narrow_checkpoint(folder, **LLAMA))


@pytest.fixture(scope="session")
def wide_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 of two layers as wide as those of the 0.6B, with made-up weights."""
    return made_once(tmp_path_factory, ("wide",), "wide", lambda folder: narrow_checkpoint(folder, **WIDE))


@pytest.fixture(scope="session")
def narrow_mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 of four layers of 16 experts with made-up weights; some experts get no token of a text."""

    def make(folder: Path) -> None:
        uneven_routers(narrow_checkpoint(folder, **MIXTURE))

    return made_once(tmp_path_factory, ("mixture",), "mixture", make)


@pytest.fixture(scope="session")
def narrow_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 of two layers with made-up weights and biases, and a table each for embedding and lm_head."""
    return made_once(tmp_path_factory, ("qwen2",), "qwen2", lambda folder: narrow_checkpoint(folder, **QWEN2))
