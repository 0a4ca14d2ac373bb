"""Which matrices are given finer formats, where a model may take so many bytes.

Knows numbers only: no graph, no checkpoint.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """Matrices that are stored alike, since targets read them as one.

    Attributes:
        names: the matrices.
        nbytes: what the finer format takes more.
        gain: the divergence from the checkpoint that it saves, nats a position.
    """

    names: Sequence[str]
    nbytes: float
    gain: float


def most_worth(upgrades: Iterable[Upgrade], room: float) -> list[Upgrade]:
    """The upgrades that gain most for their bytes, for as long as they fit into `room` bytes.

    Divergences of single matrices add up nearly (measured on SmolLM2-135M: 0.28 nats one by one, 0.33 together), so
    each is worth the same whatever else is chosen. One that doesn't fit leaves its room to smaller ones.
    """
    chosen = []
    for upgrade in sorted(upgrades, key=lambda one: one.gain / one.nbytes, reverse=True):
        if upgrade.nbytes <= room:
            room -= upgrade.nbytes
            chosen.append(upgrade)
    return chosen
