"""Rows of unequal length that are prefilled together and decoded, each held against its own run alone."""

from pathlib import Path

import numpy as np
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import Reference

LENGTHS = np.array([5, 31, 18])
DECODED = 8


def errors_of_unequal_rows(artifact: Path, reference: Reference) -> list[float]:
    """The relative error of each row's logits, from its last token of prefill on."""
    count, longest = len(LENGTHS), LENGTHS.max()
    ids = reference.ids(count, longest + DECODED)
    driver = Driver(artifact, batch=count)
    logits = driver.step(np.where(np.arange(longest)[None] < LENGTHS[:, None], ids[:, :longest], 0), new=LENGTHS)
    rows = [[logits[row, length - 1]] for row, length in enumerate(LENGTHS)]
    for step in range(DECODED):
        logits = driver.step(ids[np.arange(count), LENGTHS + step][:, None])
        for row in range(count):
            rows[row].append(logits[row, 0])
    alone = (reference.logits(ids[row : row + 1, : end + DECODED])[0, end - 1 :] for row, end in enumerate(LENGTHS))
    return [relative(np.stack(found), expected) for found, expected in zip(rows, alone, strict=True)]
