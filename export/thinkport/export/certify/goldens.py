"""Writes `goldens.safetensors`: the checkpoint's likeliest next tokens over the prompts. The runtime reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from thinkport.export.certify.figures import Softmax
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.artifact.goldens import (
    FORMAT,
    OWN_LOGITS,
    OWN_ROWS,
    OWN_SPREAD,
    OWN_STEPS,
    OWN_TOP_IDS,
    OWN_TOP_LOGPROBS,
    SAMPLE,
    Golden,
    OwnGolden,
)

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


def write_goldens(path: Path, goldens: Sequence[Golden], own: Mapping[str, OwnGolden] | None = None) -> None:
    """Write the file; `own` are those of graphs by their files, all over the first tokens of one of the goldens.

    Raises:
        OSError: it can't be written.
    """
    tensors: dict[str, NDArray[np.generic]] = {SAMPLE: goldens[0].sample_ids}
    for entry in goldens:
        for part in ("ids", "rows", "top_ids", "top_logprobs", "sample_logits"):
            tensors[f"{entry.name}.{part}"] = np.ascontiguousarray(getattr(entry, part))
    for file, found in (own or {}).items():
        tensors |= _own_tensors(Path(file).stem, found)
    path.write_bytes(save(tensors, _METADATA))  # save_file would keep it from everyone but its owner


def _own_tensors(graph: str, own: OwnGolden) -> dict[str, NDArray[np.generic]]:
    golden = own.golden
    parts: dict[str, NDArray[np.generic]] = {
        OWN_STEPS: np.array([own.prefilled, own.continued, len(golden.ids) - own.prefilled - own.continued]),
        OWN_ROWS: golden.rows,
        f"{OWN_LOGITS}{graph}": np.ascontiguousarray(golden.sample_logits),
        f"{OWN_TOP_IDS}{graph}": golden.top_ids,
        f"{OWN_TOP_LOGPROBS}{graph}": golden.top_logprobs,
        f"{OWN_SPREAD}{graph}": np.array([own.spread, own.float_spread], np.float32),
    }
    return {f"{golden.name}.{part}": values for part, values in parts.items()}


def _top(row: Logits) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    logprobs = Softmax(row).log_probabilities
    kept = np.argpartition(-logprobs, min(TOP, len(row)) - 1)[:TOP]
    kept = kept[np.lexsort((kept, -logprobs[kept]))]
    return kept.astype(np.int64), logprobs[kept]
