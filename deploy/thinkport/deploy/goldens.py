"""Reads `goldens.safetensors`: what the checkpoint itself would say, so that any laptop can check an artifact.

Plain numpy, on purpose: whoever checks an artifact has neither torch nor the checkpoint. The file has, for each prompt
N from 0:

- `N.ids` int64 (tokens,): the prompt;
- `N.top_ids` int64 (tokens, k): the checkpoint's k likeliest next tokens after each position, likeliest first;
- `N.top_logprobs` float32 (tokens, k): the logarithms of their probabilities, in nats, over the whole vocabulary.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.errors import ArtifactError

FORMAT = "thinkport-goldens-1"
_DTYPES = {"I64": "<i8", "F32": "<f4"}


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One prompt and the checkpoint's likeliest next tokens after each of its positions; see the module."""

    ids: NDArray[np.int64]
    top_ids: NDArray[np.int64]
    top_logprobs: NDArray[np.float32]


def read_goldens(path: Path) -> list[Golden]:
    """The goldens of an artifact.

    Raises:
        ArtifactError: the file is missing, damaged, or of another format.
    """
    try:
        raw = path.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])
        found = header.pop("__metadata__", {}).get("format")
        tensors = {name: _tensor(raw, 8 + size, entry) for name, entry in header.items()}
        goldens = [_golden(tensors, number) for number in range(len(tensors) // 3)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} can't be read as goldens ({error}): export the artifact again") from error
    if found != FORMAT:
        raise ArtifactError(f"{path} has the format {found!r}, expected {FORMAT!r}: use the thinkport that wrote it")
    return goldens


def _tensor(raw: bytes, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    flat: NDArray[Any] = np.frombuffer(raw[base + begin : base + end], np.dtype(_DTYPES[entry["dtype"]]))
    return flat.reshape(entry["shape"])


def _golden(tensors: dict[str, NDArray[Any]], number: int) -> Golden:
    return Golden(
        ids=tensors[f"{number}.ids"],
        top_ids=tensors[f"{number}.top_ids"],
        top_logprobs=tensors[f"{number}.top_logprobs"],
    )
