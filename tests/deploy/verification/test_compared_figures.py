"""A certificate that is measured again is held against what the export recorded, be that of before."""

import json
from pathlib import Path
from typing import Any

import pytest

from thinkport.deploy.verification.verify import _compared
from thinkport.runtime.artifact.certificate import Certificate, Figure

SAMPLE = json.loads((Path(__file__).parents[2] / "contract" / "manifest.json").read_text(encoding="utf-8"))
RECORDED = Certificate.model_validate(SAMPLE["certificate"]).figures[0]


def changed(figure: Figure, *, golden_kl: float | None = None, **values: Any) -> Figure:
    if golden_kl is not None:
        values["score"] = figure.score.model_copy(update={"kl": golden_kl})
    return figure.model_copy(update=values)


@pytest.mark.parametrize(("kl", "passes"), [(0.0125, True), (0.02, False)])
def test_the_mean_is_that_of_the_export(kl: float, passes: bool) -> None:
    found = _compared(changed(RECORDED, kl_mean=kl), RECORDED)
    assert found.passed == passes
    assert found.detail.startswith("close: mean KL divergence")


@pytest.mark.parametrize(("golden_kl", "passes"), [(0.0111, True), (0.02, False)])
def test_figures_of_before_are_over_other_texts_so_goldens_are_compared(golden_kl: float, passes: bool) -> None:
    before = changed(RECORDED, kl_mean=0.3, by_kind=None, by_language=None)
    found = _compared(changed(RECORDED, golden_kl=golden_kl), before)
    assert found.passed == passes
    assert "on the goldens at export" in found.detail


def test_a_damaged_graph_is_told_in_red() -> None:
    assert _compared(changed(RECORDED, kl_low=0.3, kl_high=0.4), None).alarming
    assert not _compared(RECORDED, RECORDED).alarming
