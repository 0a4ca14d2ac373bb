"""What all tests of the export share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.export.trace.checkpoints import LLAMA, narrow_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def traced_once(one_trace: None) -> None:
    """Exports in this process trace a model once."""


@pytest.fixture(scope="session")
def narrow_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with made-up weights."""
    return narrow_checkpoint(tmp_path_factory.mktemp("llama") / "llama", **LLAMA)
