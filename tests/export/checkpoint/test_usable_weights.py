"""What no arithmetic in float32 holds is refused where weights are read, with its place."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from thinkport.export.checkpoint.checkpoint import _check_usable
from thinkport.export.checkpoint.safetensors_file import read_header
from thinkport.export.errors import CheckpointError


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e+30", "-1e+20"])
def test_a_weight_that_is_no_number_or_squares_to_none_is_named(tmp_path: Path, value: str) -> None:
    save_file({"a": np.zeros((8, 4), np.float32)}, tmp_path / "a.safetensors")
    entry = read_header(tmp_path / "a.safetensors")["a"]
    block = np.full((4, 4), 1e15, np.float32)
    _check_usable(entry, block, 4)
    block[1, 3] = float(value)
    with pytest.raises(CheckpointError, match=re.escape(f"a holds {value} at [5, 3] in a.safetensors")):
        _check_usable(entry, block, 4)
