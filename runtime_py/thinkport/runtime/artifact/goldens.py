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

Beside one prompt, the long one, lies what each graph itself gives over its first tokens, for a machine to be held
against the graph and not against the checkpoint. What the graph asks to be rounded to int8 or to float16 while it
computes is float32 there. GRAPH is its file without `.onnx`:

- `NAME.own_steps` int64 (3,): how many of the tokens are prefilled, go over these at once, and go one by one;
- `NAME.own_rows` int64 (rows,): the positions that were kept, in order;
- `NAME.own_logits:GRAPH` float32 (rows, n): its logits of the `sample_ids`;
- `NAME.own_top_ids:GRAPH`, `NAME.own_top_logprobs:GRAPH` (rows, k): its likeliest tokens, as above;
- `NAME.own_spread:GRAPH` float32 (2, 2): how far the graph's own rounding takes it from these on the CPU, as
  `own_check.Distance` has it: the relative error of the sampled logits, and the largest KL divergence of a row. The
  first row is of the graph as it is, the second of one whose matrix products round nothing to int8.

Readers of before take no notice of tensors whose names begin with a prompt's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.strangers_file import parsed_json, read_strangers
from thinkport.runtime.errors import ArtifactError

FORMAT = "thinkport-goldens-2"
SAMPLE = "sample_ids"
OWN_STEPS, OWN_ROWS = "own_steps", "own_rows"
OWN_LOGITS, OWN_TOP_IDS, OWN_TOP_LOGPROBS = "own_logits:", "own_top_ids:", "own_top_logprobs:"
OWN_SPREAD = "own_spread:"
_MOST_TOKENS = 1 << 15  # of all prompts together: an export makes a thousand
_DTYPES = {"I64": "<i8", "F32": "<f4"}
Made = TypeVar("Made")


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


class Distance(NamedTuple):
    """How far logits are from an own golden.

    `error` is the root of the mean squared difference over that of the logits, both around their means in each row.
    `divergence` is the largest KL divergence of a row over the likeliest tokens, in nats.
    """

    error: float
    divergence: float


@dataclass(frozen=True, kw_only=True)
class OwnGolden:
    """What one graph itself gives over a prompt of ids, computed on the CPU in float32; see the module.

    The prompt is meant to go in steps: `prefilled` tokens, then `continued` ones over them, then the others one by one.
    `spread` is what the graph's own rounding costs, `float_spread` what is left of it in float products.
    """

    golden: Golden
    prefilled: int
    continued: int
    spread: Distance
    float_spread: Distance


def read_goldens(path: Path) -> list[Golden]:
    """The goldens of an artifact, in the order of their names.

    Raises:
        ArtifactError: the file is missing, damaged, or of another format.
    """
    return _read(path, _goldens)


def read_own_goldens(path: Path) -> dict[str, OwnGolden]:
    """What each graph itself gave, by the graph's file; empty in the artifacts of before.

    Raises:
        ArtifactError: the file is missing, damaged, or of another format.
    """
    return _read(path, _own_goldens)


def _read(path: Path, made: Callable[[dict[str, NDArray[Any]]], Made]) -> Made:
    try:
        raw = read_strangers(path)
        size = int.from_bytes(raw[:8], "little")
        header = parsed_json(raw[8 : 8 + size])
        found = header.pop("__metadata__", {}).get("format")
        if found == FORMAT:
            return made({name: _tensor(raw, 8 + size, entry) for name, entry in header.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
        raise ArtifactError(f"{path} can't be read as goldens ({error}): export the artifact again") from error
    raise ArtifactError(f"{path} has the format {found!r}, expected {FORMAT!r}: use the thinkport that wrote it")


def _goldens(tensors: dict[str, NDArray[Any]]) -> list[Golden]:
    names = sorted({name.rpartition(".")[0] for name in tensors if name != SAMPLE})
    parts = ("ids", "rows", "top_ids", "top_logprobs", "sample_logits")
    found = [
        _checked(Golden(name=name, sample_ids=tensors[SAMPLE], **{part: tensors[f"{name}.{part}"] for part in parts}))
        for name in names
    ]
    if not found or sum(len(golden.ids) for golden in found) > _MOST_TOKENS:
        raise ValueError(f"{len(found)} prompts, expected at least one and at most {_MOST_TOKENS} tokens in all")
    return found


def _checked(golden: Golden) -> Golden:
    """A golden whose parts belong together.

    Raises:
        ValueError: they don't, or it has no token.
    """
    rows, sampled, likeliest = len(golden.rows), len(golden.sample_ids), golden.top_ids.shape[-1]
    shapes: dict[str, tuple[NDArray[Any], tuple[int, ...], Any]] = {
        "ids": (golden.ids, (len(golden.ids),), np.int64),
        "rows": (golden.rows, (rows,), np.int64),
        "top_ids": (golden.top_ids, (rows, likeliest), np.int64),
        "top_logprobs": (golden.top_logprobs, (rows, likeliest), np.float32),
        "sample_ids": (golden.sample_ids, (sampled,), np.int64),
        "sample_logits": (golden.sample_logits, (rows, sampled), np.float32),
    }
    for part, (values, shape, dtype) in shapes.items():
        if values.shape != shape or values.dtype != dtype:
            raise ValueError(f"{golden.name!a}.{part} is {values.dtype} {values.shape}, expected {dtype} {shape}")
        if dtype is np.int64 and values.size and values.min() < 0:
            raise ValueError(f"{golden.name!a}.{part} has {values.min()}, expected none below 0")
    if not (len(golden.ids) and rows and sampled and (np.diff(golden.rows) > 0).all()):
        raise ValueError(f"{golden.name!a} has no token, or rows that are not in order")
    if golden.rows[-1] >= len(golden.ids) or not golden.name.isprintable():
        raise ValueError(f"{golden.name!a} has a row behind its last token, or an odd name")
    return golden


def _own_goldens(tensors: dict[str, NDArray[Any]]) -> dict[str, OwnGolden]:
    found = {}
    for name in tensors:
        prompt, _, part = name.rpartition(".")
        if part.startswith(OWN_LOGITS):
            graph = part.removeprefix(OWN_LOGITS)
            prefilled, continued, decoded = tensors[f"{prompt}.{OWN_STEPS}"].tolist()
            if min(prefilled - 1, continued, decoded) < 0:
                raise ValueError(f"{prompt!a}.{OWN_STEPS} has {prefilled}, {continued} and {decoded} tokens")
            spread, float_spread = map(Distance._make, tensors[f"{prompt}.{OWN_SPREAD}{graph}"].tolist())
            golden = Golden(
                name=prompt,
                ids=tensors[f"{prompt}.ids"][: prefilled + continued + decoded],
                rows=tensors[f"{prompt}.{OWN_ROWS}"],
                top_ids=tensors[f"{prompt}.{OWN_TOP_IDS}{graph}"],
                top_logprobs=tensors[f"{prompt}.{OWN_TOP_LOGPROBS}{graph}"],
                sample_ids=tensors[SAMPLE],
                sample_logits=tensors[name],
            )
            found[f"{graph}.onnx"] = OwnGolden(
                golden=_checked(golden),
                prefilled=prefilled,
                continued=continued,
                spread=spread,
                float_spread=float_spread,
            )
    return found


def _tensor(raw: bytes, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end or min(entry["shape"], default=0) < 0:
        raise ValueError(f"bytes {begin} to {end} for the shape {entry['shape']}")
    flat: NDArray[Any] = np.frombuffer(raw[base + begin : base + end], np.dtype(_DTYPES[entry["dtype"]]))
    return flat.reshape(entry["shape"])
