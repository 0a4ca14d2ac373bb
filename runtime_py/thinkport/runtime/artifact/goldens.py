"""Reads `goldens.safetensors`: what the checkpoint itself would say, so that any laptop can check an artifact.

Plain numpy, on purpose: whoever checks an artifact has neither torch nor the checkpoint. The file has, for each prompt,
named and numbered as `00-english`:

- `NAME.ids` int64 (tokens,): the prompt;
- `NAME.rows` int64 (rows,): the positions that were kept, in order; the last is the prompt's last;
- `NAME.top_ids` int64 (rows, k): the checkpoint's k likeliest next tokens after each, likeliest first;
- `NAME.top_logprobs` float32 (rows, k): the logarithms of their probabilities, in nats, over the whole vocabulary;
- `NAME.sample_logits` float32 (rows, n): the checkpoint's logits of the `sample_ids`;

and once `sample_ids` int64 (n,), spread over the vocabulary: where a distribution is flat, as a checkpoint of noise
has it, the likeliest tokens say nothing and these do. A checkpoint that embeds has hidden states in place of logits,
`sample_ids` are columns of them, and k is 0.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.errors import ArtifactError

FORMAT = "thinkport-goldens-2"
SAMPLE = "sample_ids"
_DTYPES = {"I64": "<i8", "F32": "<f4"}


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One prompt and what the checkpoint says after some of its positions; see the module."""

    name: str
    ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    top_ids: NDArray[np.int64]
    top_logprobs: NDArray[np.float32]
    sample_ids: NDArray[np.int64]
    sample_logits: NDArray[np.float32]


def read_goldens(path: Path) -> list[Golden]:
    """The goldens of an artifact, in the order of their names.

    Raises:
        ArtifactError: the file is missing, damaged, or of another format.
    """
    try:
        raw = path.read_bytes()
        size = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + size])
        found = header.pop("__metadata__", {}).get("format")
        if found == FORMAT:
            return _goldens({name: _tensor(raw, 8 + size, entry) for name, entry in header.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} can't be read as goldens ({error}): export the artifact again") from error
    raise ArtifactError(f"{path} has the format {found!r}, expected {FORMAT!r}: use the thinkport that wrote it")


def _goldens(tensors: dict[str, NDArray[Any]]) -> list[Golden]:
    names = sorted({name.rpartition(".")[0] for name in tensors if name != SAMPLE})
    parts = ("ids", "rows", "top_ids", "top_logprobs", "sample_logits")
    return [
        Golden(name=name, sample_ids=tensors[SAMPLE], **{part: tensors[f"{name}.{part}"] for part in parts})
        for name in names
    ]


def _tensor(raw: bytes, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    flat: NDArray[Any] = np.frombuffer(raw[base + begin : base + end], np.dtype(_DTYPES[entry["dtype"]]))
    return flat.reshape(entry["shape"])
