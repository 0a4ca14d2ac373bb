"""Checkpoints in folders of their own, for tests to read, split or damage."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tests.export.trace.checkpoints import narrow_checkpoint


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """`weight` float32 (6, 4) counting from 0, `half` float16 (2, 3), `norm` float32 (4,), and all other files."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    tensors: dict[str, NDArray[Any]] = {
        "weight": np.arange(24, dtype=np.float32).reshape(6, 4),
        "half": np.array([[0.5, -1.25, 3], [0, 65504, -2]], np.float16),
        "norm": np.ones(4, np.float32),
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    (folder / "generation_config.json").write_text(json.dumps({"top_k": 20}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow Qwen3, which a module's tests copy."""
    return narrow_checkpoint(tmp_path_factory.mktemp("whole") / "whole", seed=3)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "checkpoint")
