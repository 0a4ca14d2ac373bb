"""Writes `goldens.safetensors`: the checkpoint's likeliest next tokens over the prompts. thinkport.deploy reads it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from thinkport.deploy.goldens import FORMAT, Golden

from thinkport.export.certify.figures import log_probabilities
from thinkport.export.certify.reference import Ids, Logits

GOLDENS = "goldens.safetensors"
TOP = 16
_METADATA = {"format": FORMAT}  # one key: safetensors writes several in any order, and a file should not depend on it


def golden(ids: Ids, logits: Logits) -> Golden:
    """The likeliest next tokens over a prompt; logits (tokens, vocabulary)."""
    top = [_top(row) for row in logits]
    return Golden(ids=ids, top_ids=np.stack([t[0] for t in top]), top_logprobs=np.stack([t[1] for t in top]))


def write_goldens(path: Path, goldens: Sequence[Golden]) -> None:
    """Write the file.

    Raises:
        OSError: it can't be written.
    """
    tensors: dict[str, NDArray[np.generic]] = {}
    for number, entry in enumerate(goldens):
        tensors[f"{number}.ids"] = entry.ids
        tensors[f"{number}.top_ids"] = entry.top_ids
        tensors[f"{number}.top_logprobs"] = entry.top_logprobs
    path.write_bytes(save(tensors, _METADATA))  # save_file would keep it from everyone but its owner


def _top(row: Logits) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    logprobs = log_probabilities(row)
    kept = np.argpartition(-logprobs, min(TOP, len(row)) - 1)[:TOP]
    kept = kept[np.lexsort((kept, -logprobs[kept]))]
    return kept.astype(np.int64), logprobs[kept].astype(np.float32)
