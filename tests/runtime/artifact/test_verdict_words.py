"""A verdict says no more than the figures do, and every certificate has one, those of before too."""

from pathlib import Path
from typing import Any

import pytest

from thinkport.runtime.artifact.certificate import Certificate, Figure, GoldenScore, TextFigure
from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.artifact.verdict import (
    Grade,
    verdict_line,
    verdict_of_artifact,
    verdict_of_graph,
    verdicts_as_json,
)

SCORE = GoldenScore(rows=9, correlation=1.0, kl=0.0, top1=1.0)
PLAIN: dict[str, Any] = {
    "graph": "cpu.onnx",
    "tokens": 2000,
    "kl_p95": 1.0,
    "kl_max": 2.0,
    "top1_agreement": 0.9,
    "top5_agreement": 1.0,
    "correlation": 0.99,
    "max_relative_error": 0.1,
    "score": SCORE,
    "quick_score": SCORE,
}


def figure(low: float | None, high: float | None, mean: float | None = None, **more: Any) -> Figure:
    mean = (low or 0) / 2 + (high or 0) / 2 if mean is None else mean
    return Figure(**{**PLAIN, "kl_mean": mean, "kl_low": low, "kl_high": high, **more})


def group(low: float | None, high: float | None) -> TextFigure:
    return TextFigure(tokens=300, kl_mean=(low or 0.5), kl_low=low, kl_high=high, top1_agreement=0.9)


def certificate(*figures: Figure, finer: str | None = None) -> Certificate:
    return Certificate(goldens="goldens.safetensors", figures=list(figures), finer_recipe=finer)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.0, 0.0, "close"),
        (0.02, 0.05, "close"),
        (0.04, 0.06, "between close and usable"),
        (0.06, 0.2, "usable"),
        (0.15, 0.25, "between usable and damaged"),
        (0.04, 0.3, "between close and damaged"),
        (0.21, 0.4, "damaged"),
    ],
)
def test_a_word_is_said_where_the_whole_interval_supports_it(low: float, high: float, said: str) -> None:
    assert str(verdict_of_graph(figure(low, high))) == said


def test_a_kind_that_is_surely_worse_is_named_and_one_that_may_be_is_not() -> None:
    kinds = {"code": group(0.25, 0.4), "chat": group(0.04, 0.5), "maths": group(None, None)}
    found = verdict_of_graph(figure(0.01, 0.04, by_kind=kinds, by_language={"german": group(0.06, 0.1)}))
    assert str(found) == "close; damaged on code; usable on german"
    assert found.damaged


def test_the_artifact_is_what_its_worst_graph_is() -> None:
    found = certificate(figure(0.01, 0.02), figure(0.06, 0.08, graph="cpu-prefill.onnx"), finer="int8")
    assert verdict_line(found) == "usable"
    assert verdicts_as_json(found)["graphs"] == {"cpu.onnx": "close", "cpu-prefill.onnx": "usable"}


def test_a_graph_that_was_asked_little_does_not_widen_the_verdict_but_may_worsen_it() -> None:
    wide, bad = figure(0.01, 0.3, prompts=["00-chat"]), figure(0.3, 0.9, prompts=["00-chat"])
    assert str(verdict_of_artifact(certificate(figure(0.01, 0.02), wide))) == "close"
    assert str(verdict_of_artifact(certificate(figure(0.01, 0.02), bad))) == "damaged"


def test_a_damaged_artifact_names_the_recipe_to_take() -> None:
    assert verdict_line(certificate(figure(0.3, 0.4), finer="int8-g32")) == "damaged: take `int8-g32`"
    assert verdict_line(certificate(figure(0.1, 0.4), finer="int8-g32")).startswith("between usable and damaged: take")
    assert verdict_line(certificate(figure(0.3, 0.4))) == "damaged"


@pytest.mark.parametrize(
    ("least", "low", "high", "within"),
    [
        (Grade.CLOSE, 0.01, 0.02, True),
        (Grade.CLOSE, 0.04, 0.3, True),  # it may be
        (Grade.CLOSE, 0.06, 0.07, False),
        (Grade.USABLE, 0.06, 0.07, True),
        (Grade.USABLE, 0.21, 0.3, False),
    ],
)
def test_a_floor_refuses_what_is_surely_below(least: Grade, low: float, high: float, within: bool) -> None:
    assert verdict_of_graph(figure(low, high)).within(least) == within


@pytest.mark.parametrize(
    ("by_text", "said"),
    [
        ({"english": 0.02, "code": 0.01, "german": 0.03}, "close"),
        ({"english": 0.5, "code": 0.6, "german": 0.7}, "damaged"),
        ({"english": 0.01, "code": 0.1, "german": 0.4}, "between close and damaged"),
    ],
)
def test_an_artifact_of_before_has_a_verdict_from_its_texts(by_text: dict[str, float], said: str) -> None:
    assert str(verdict_of_graph(figure(None, None, 0.9, kl_by_text=by_text))) == said


def test_without_any_interval_the_mean_decides() -> None:
    assert str(verdict_of_graph(figure(None, None, 0.03))) == "close"


def test_a_manifest_of_before_has_a_verdict() -> None:
    path = Path(__file__).parent / "samples" / "manifest-of-november.json"
    found = Manifest.model_validate_json(path.read_text(encoding="utf-8")).certificate
    assert found is not None
    assert verdict_line(found).split()[0] in ("close", "usable", "damaged", "between")
