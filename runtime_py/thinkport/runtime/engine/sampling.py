"""Choosing the next token: settings, and pure functions on one row of logits.

The order and the definitions are those of transformers' logits processors: repetition penalty, presence penalty,
temperature, top-k, top-p, min-p. Knows numbers and ids; must not know text or modes.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.artifact.manifest import SamplingPreset
from thinkport.runtime.errors import ArtifactError, InputError, did_you_mean

Row = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Shaper = Callable[[Row], None]  # changes a row of logits in place
Watch = Callable[[Row, int], None]

# Within these, logits of a sound model stay numbers of float32.
_TEMPERATURES, _REPETITION, _PRESENCE = (1e-20, 1e4), (1e-3, 1e3), 1e4
_LOWEST = float(np.finfo(np.float32).min)
_GROUP = 64  # logits in a group, of which only the largest is looked at first


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How a token is drawn from logits; a setting at its default does nothing.

    temperature: 0 takes the likeliest token. top_k: keep the k likeliest, None for all. top_p: keep the likeliest that
    together reach p. min_p: keep those at least min_p times as likely as the likeliest. presence_penalty: subtracted
    once from what was generated already. repetition_penalty: divides (multiplies, if negative) the logits of what
    prompt or reply hold already (https://arxiv.org/abs/1909.05858).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            _require(number or (value is None and field.name == "top_k"), field.name, repr(value), "a number")
        _require(self.top_k is None or isinstance(self.top_k, int), "top_k", self.top_k, "a whole number")
        cold, hot = _TEMPERATURES
        warm = self.temperature == 0 or cold <= self.temperature <= hot
        _require(warm, "temperature", self.temperature, f"0 (greedy), or {cold:g} to {hot:g}")
        most = self.top_k
        _require(most is None or most >= 1, "top_k", most, "1 or more, or None to keep all (0 on the command line)")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "above 0 and up to 1")
        _require(0 <= self.min_p <= 1, "min_p", self.min_p, "from 0 to 1")
        least, largest = _REPETITION
        kept = least <= self.repetition_penalty <= largest
        _require(kept, "repetition_penalty", self.repetition_penalty, f"{least:g} to {largest:g} (1 is none)")
        kept = -_PRESENCE <= self.presence_penalty <= _PRESENCE
        _require(kept, "presence_penalty", self.presence_penalty, f"{-_PRESENCE:g} to {_PRESENCE:g} (0 is none)")

    @classmethod
    def from_preset(cls, preset: SamplingPreset) -> "SamplingSettings":
        """The settings of a manifest's preset, where a top_k of 0 is no limit."""
        return cls(**{**preset.model_dump(), "top_k": preset.top_k or None})

    def override(self, values: Mapping[str, Any]) -> "SamplingSettings":
        """These settings with some replaced by name.

        Raises:
            InputError: an unknown name, or a value out of range.
        """
        names = [field.name for field in fields(self)]
        for name in values:
            if name not in names:
                raise InputError(f"unknown sampling setting {name!r}{did_you_mean(name, names)}")
        return replace(self, **values)


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise InputError(f"{name} is {value}, expected {expected}")


def checked_seed(seed: int | None) -> int | None:
    """The seed, a whole number from 0 on; None for a new one each time.

    Raises:
        InputError: something else.
    """
    if seed is not None:
        whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
        _require(whole and seed >= 0, "seed", repr(seed), "a whole number, 0 or more")
    return seed


class Sampler:
    """Draws tokens by settings; remembers what was seen for the penalties. One sampler for one reply."""

    def __init__(
        self,
        settings: SamplingSettings,
        *,
        seed: int | None = None,
        banned: Collection[int] = (),
        shapers: Sequence[Shaper] = (),
        watch: Watch | None = None,
    ):
        """`banned` ids are never drawn; the same `seed` draws the same tokens from the same logits.

        `shapers` change the logits in place, in turn, after the penalties and before temperature and truncation.
        `watch` is told of each draw: the logits as they came, and the id.
        """
        self.settings, self._watch = settings, watch
        self._random = np.random.default_rng(checked_seed(seed))
        self._banned = np.array(sorted(banned), np.int64)
        self._shapers = tuple(shapers)
        self._scratch = np.empty(0, np.float32)  # a fresh one each time would cost its page faults
        self._prompt: set[int] = set()
        self._generated: set[int] = set()

    def start(self, prompt: Sequence[int]) -> None:
        """Take note of the prompt, for the repetition penalty."""
        self._prompt = set(prompt)
        self._generated = set()

    def accept(self, token: int) -> None:
        """Take note of a token of the reply, drawn here or forced."""
        self._generated.add(token)

    def draw(self, logits: Row) -> int:
        """The next id from logits (vocabulary,), which are left as they are."""
        settings, row = self.settings, logits
        if self._shapers or self._banned.size or settings.repetition_penalty != 1 or settings.presence_penalty != 0:
            row = self._changed(logits)
        token = draw(row, settings, self._random)
        if self._watch is not None:
            self._watch(logits, token)
        return token

    def _changed(self, logits: Row) -> Row:
        if self._scratch.shape != logits.shape:
            self._scratch = np.empty_like(logits)
        row, settings = self._scratch, self.settings
        np.copyto(row, logits)
        if settings.repetition_penalty != 1:
            repetition_penalty(row, _ids(self._prompt | self._generated), settings.repetition_penalty)
        if settings.presence_penalty != 0:
            presence_penalty(row, _ids(self._generated), settings.presence_penalty)
        for shape in self._shapers:
            shape(row)
        row[self._banned] = -np.inf
        return row


def _ids(ids: set[int]) -> Indices:
    return np.fromiter(ids, np.int64, len(ids))


def repetition_penalty(logits: Row, ids: Indices, penalty: float) -> None:
    """Divide the logits of `ids` by the penalty if positive, else multiply them, in place."""
    seen = logits[ids]
    logits[ids] = np.where(seen < 0, seen * penalty, seen / penalty)


def presence_penalty(logits: Row, ids: Indices, penalty: float) -> None:
    """Subtract the penalty once from the logits of the distinct `ids`, in place."""
    logits[ids] -= penalty


def draw(logits: Row, settings: SamplingSettings, random: np.random.Generator) -> int:
    """One id from logits (vocabulary,) after temperature and truncation; no penalties.

    Raises:
        ArtifactError: the logits are not numbers to draw by, which only a broken model computes.
    """
    if settings.temperature == 0:
        best = int(np.argmax(logits))  # the first NaN, if there is one
        _check_finite(float(logits[best]))
        return best
    ids, probabilities = candidates(logits, settings)
    cumulative = np.cumsum(probabilities)
    place = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
    return int(ids[min(place, len(ids) - 1)])


def _check_finite(best: float) -> None:
    if not math.isfinite(best):
        raise ArtifactError(
            f"the model's logits hold {best}, expected finite numbers: its weights are damaged or the provider "
            "computes wrongly; run another provider or graph, or export the artifact again"
        )


def candidates(logits: Row, settings: SamplingSettings) -> tuple[Indices, npt.NDArray[np.float64]]:
    """Ids that may be drawn, likeliest first, and their probabilities; needs a temperature above 0.

    top_k comes first and cheap, so that the rest works on k values instead of the vocabulary. Of equal logits at the
    k-th place all are kept.

    Raises:
        ArtifactError: the largest is not finite.
    """
    ids = top_k(logits, settings.top_k)
    chosen = logits[ids]
    order = np.argsort(-chosen)
    ids, chosen = ids[order], chosen[order]
    probabilities = softmax(chosen / np.float32(settings.temperature))
    kept = min(top_p(probabilities, settings.top_p), min_p(probabilities, settings.min_p))
    return ids[:kept], probabilities[:kept] / probabilities[:kept].sum()


def top_k(logits: Row, k: int | None) -> Indices:
    """Ids whose logits are at least the k-th largest, in the order of ids; those at minus infinity never count.

    Large rows are read once, for the largest of each group of them. The k-th largest of these is reached by at least k
    logits, all of which are in groups that reach it.

    Raises:
        ArtifactError: the largest logit is not finite.
    """
    if k is None or len(logits) < k * _GROUP:
        _check_finite(float(logits.max(initial=-np.inf)))
        return _reach(logits, np.flatnonzero(logits > -np.inf), k)
    width = len(logits) // _GROUP
    groups = logits[: width * _GROUP].reshape(_GROUP, width)
    maxima = groups.max(axis=0)
    rest = np.arange(width * _GROUP, len(logits))
    _check_finite(float(np.maximum(maxima.max(), logits[rest].max(initial=-np.inf))))
    floor = max(np.partition(maxima, -k)[-k], _LOWEST)  # a mask may leave fewer than k
    ids = (np.flatnonzero(maxima >= floor) + width * np.arange(_GROUP)[:, None]).ravel()
    ids = np.concatenate((ids, rest))
    return _reach(logits, ids[logits[ids] >= floor], k)


def _reach(logits: Row, ids: Indices, k: int | None) -> Indices:
    """Those of the ids whose logits are at least the k-th largest of theirs."""
    if k is None or len(ids) <= k:
        return ids
    kept = logits[ids]
    reach: Indices = ids[kept >= np.partition(kept, -k)[-k]]
    return reach


def top_p(probabilities: npt.NDArray[np.float64], p: float) -> int:
    """How many of the falling `probabilities` it takes to reach p of their sum, at least one."""
    if p == 1:
        return len(probabilities)
    # As transformers has it: drop the tail whose own cumulative share is at most 1 - p.
    tail = np.cumsum(probabilities[::-1])[::-1] / probabilities.sum()
    return max(1, int(np.count_nonzero(tail > 1 - p)))


def min_p(probabilities: npt.NDArray[np.float64], p: float) -> int:
    """How many of the falling `probabilities` are at least p times the first."""
    return max(1, int(np.count_nonzero(probabilities >= p * probabilities[0])))


def softmax(logits: Row) -> npt.NDArray[np.float64]:
    """Probabilities of logits."""
    shifted = np.exp((logits - logits.max()).astype(np.float64))
    probabilities: npt.NDArray[np.float64] = shifted / shifted.sum()
    return probabilities
