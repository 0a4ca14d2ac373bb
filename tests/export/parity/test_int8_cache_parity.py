"""float32 weights over an int8 KV cache, held against transformers with the same rounding in its own cache.

What rounding keys and values costs is the distance of that model from the one with an exact cache. The graph has to
compute the same as that model, but for codes that a rounding error of float32 tips over to the next.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import Reference, fresh_ids
from tests.export.parity.rounded_cache import RoundedCache

from thinkport.export.calibrate import calibrate
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TIPPED = 0.25  # of the cost of rounding, in the root of the mean square: 0.0001 to 0.04 measured, 1 for a wrong scale
CUTS = {
    "prefilled at once": [(0, 77)],
    "a single token": [(0, 1)],
    "decoded": [(0, 20), *((at, at + 1) for at in range(20, 84))],
    "in uneven chunks": [(0, 7), (7, 71), (71, 72), (72, 199), (199, 200)],
}


@pytest.fixture(scope="module", params=["nano", "wide"])
def checkpoint(request: pytest.FixtureRequest, nano_checkpoint: Path, wide_qwen3: Path) -> Path:
    return {"nano": nano_checkpoint, "wide": wide_qwen3}[request.param]


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Reference:
    return Reference(checkpoint)


@pytest.fixture(scope="module")
def int8(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its values have a center in every layer, as those of SmolLM2 have in most; made-up models have none."""
    folder = tmp_path_factory.mktemp("int8") / "artifact"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[calibrate.__module__], "QUIET", np.inf)
        export(
            ExportSettings(checkpoint=str(checkpoint), output=folder, precision="fp32", kv="int8", certificate=False)
        )
    return folder


def hold(found: NDArray[np.float32], rounded: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """Hold a graph's logits against those of rounding alone."""
    cost, off = ((part.astype(np.float64) ** 2).mean() ** 0.5 for part in (rounded - exact, found - rounded))
    print(f"off by {off / cost:.4f} of what rounding costs: ", end="")
    cost_at_most = relative(rounded, exact)
    assert off <= TIPPED * cost
    assert relative(found, rounded) <= 0.5 * cost_at_most


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_an_int8_cache_costs_what_rounding_keys_and_values_costs_and_nothing_more(
    int8: Path, reference: Reference, cuts: list[tuple[int, int]]
) -> None:
    ids = fresh_ids(reference.vocabulary, 1, cuts[-1][1])
    driver = Driver(int8)
    found = np.concatenate([driver.step(ids[:, start:stop]) for start, stop in cuts], axis=1)
    cache = RoundedCache(int8, reference)
    assert all(center.any() for center in cache.shifts.values())
    hold(found, reference.logits(ids, cache=cache), reference.logits(ids))


def test_rows_of_unequal_length_share_an_int8_cache_as_if_alone(int8: Path, reference: Reference) -> None:
    lengths = np.array([5, 31, 18])
    ids = fresh_ids(reference.vocabulary, 3, 31 + 8)
    driver = Driver(int8, batch=3)
    padded = np.where(np.arange(31)[None] < lengths[:, None], ids[:, :31], 0)
    logits = driver.step(padded, new=lengths)
    rows = [[logits[row, length - 1]] for row, length in enumerate(lengths)]
    for step in range(8):
        logits = driver.step(ids[np.arange(3), lengths + step][:, None])
        for row in range(3):
            rows[row].append(logits[row, 0])
    for row, length in enumerate(lengths):
        alone, kept = ids[row : row + 1, : length + 8], slice(length - 1, None)
        rounded = reference.logits(alone, cache=RoundedCache(int8, reference))[0, kept]
        hold(np.stack(rows[row]), rounded, reference.logits(alone)[0, kept])


def test_4096_tokens_of_context_in_an_int8_cache(int8: Path, reference: Reference) -> None:
    ids = fresh_ids(reference.vocabulary, 1, 4096)
    driver = Driver(int8, capacity=4096)
    for start in range(0, 4080, 255):
        driver.step(ids[:, start : start + 255])
    found = np.concatenate([driver.step(ids[:, 4080:4095]), driver.step(ids[:, 4095:])], axis=1)
    rounded = reference.logits(ids, keep=16, cache=RoundedCache(int8, reference))
    hold(found, rounded, reference.logits(ids, keep=16))


def test_a_past_that_is_cut_back_is_overwritten(int8: Path, reference: Reference) -> None:
    ids, other = fresh_ids(reference.vocabulary, 2, 60)[:, None]
    driver = Driver(int8)
    driver.step(ids)
    driver.lengths[:] = 24
    found = driver.step(other[:, 24:])
    both = np.concatenate([ids[:, :24], other[:, 24:]], axis=1)
    rounded = reference.logits(both, cache=RoundedCache(int8, reference))[:, 24:]
    hold(found, rounded, reference.logits(both)[:, 24:])
