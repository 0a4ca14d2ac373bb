"""Writes `goldens.safetensors`: the checkpoint's likeliest next tokens over the prompts. The runtime reads it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from thinkport.export.certify.figures import Softmax
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.artifact.goldens import FORMAT, SAMPLE, Golden

GOLDENS = "goldens.safetensors"
TOP = 16
SAMPLED = 64
_METADATA = {"format": FORMAT}  # one key: safetensors writes several in any order, and a file should not depend on it


def sample_ids(vocab_size: int) -> Ids:
    """The ids whose logits goldens keep: the same for every prompt, spread over the vocabulary."""
    return np.sort(np.random.default_rng(0).permutation(vocab_size)[:SAMPLED]).astype(np.int64)


def golden(prompt: MeasuredText, logits: Logits, sample: Ids, *, likeliest: bool = True) -> Golden:
    """What a checkpoint says after the prompt's rows; logits (rows, vocabulary).

    Of hidden states (rows, hidden) there are no `likeliest` tokens.
    """
    top = [_top(row) if likeliest else (np.empty(0, np.int64), np.empty(0, np.float32)) for row in logits]
    return Golden(
        name=prompt.name,
        ids=prompt.ids,
        rows=prompt.rows,
        top_ids=np.stack([ids for ids, _ in top]),
        top_logprobs=np.stack([logprobs for _, logprobs in top]),
        sample_ids=sample,
        sample_logits=logits[:, sample],
    )


def write_goldens(path: Path, goldens: Sequence[Golden]) -> None:
    """Write the file.

    Raises:
        OSError: it can't be written.
    """
    tensors: dict[str, NDArray[np.generic]] = {SAMPLE: goldens[0].sample_ids}
    for entry in goldens:
        for part in ("ids", "rows", "top_ids", "top_logprobs", "sample_logits"):
            tensors[f"{entry.name}.{part}"] = np.ascontiguousarray(getattr(entry, part))
    path.write_bytes(save(tensors, _METADATA))  # save_file would keep it from everyone but its owner


def _top(row: Logits) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    logprobs = Softmax(row).log_probabilities
    kept = np.argpartition(-logprobs, min(TOP, len(row)) - 1)[:TOP]
    kept = kept[np.lexsort((kept, -logprobs[kept]))]
    return kept.astype(np.int64), logprobs[kept]
