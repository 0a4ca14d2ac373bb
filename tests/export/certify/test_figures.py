"""Figures are what their definitions say, at any scale of logits."""

import numpy as np
import pytest

from thinkport.export.certify.figures import Divergence, Softmax, TextLabel, kl_divergence
from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.certificate import Figure, GoldenScore


def rows(*values: list[float]) -> Logits:
    return np.array(values, np.float32)


TEXT = TextLabel("text", "prose", "english")
SCORE = GoldenScore(rows=1, correlation=1.0, kl=0.0, top1=1.0)


def figure_of(expected: Logits, found: Logits, following: list[int] | None = None) -> Figure:
    divergence = Divergence()
    for at, (row, other) in enumerate(zip(expected, found, strict=True)):
        divergence.add(TEXT, row, other, None if following is None else following[at])
        divergence.correlate(row, other)
    return divergence.figure("cpu.onnx", score=SCORE, quick_score=SCORE)


def test_the_same_logits_diverge_by_nothing() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 100), np.float32) * 20
    figure = figure_of(logits, logits.copy())
    assert (figure.kl_mean, figure.kl_p95, figure.max_relative_error) == (0, 0, 0)
    assert (figure.tokens, figure.top1_agreement, figure.graph) == (5, 1, "cpu.onnx")


def test_kl_is_that_of_the_definition() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    found = kl_divergence(Softmax(np.log(p).astype(np.float32)), Softmax(np.log(q).astype(np.float32)))
    assert found == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-6)


def test_kl_does_not_mind_what_is_added_to_all_logits() -> None:
    row = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    assert kl_divergence(Softmax(row), Softmax(row + np.float32(1000))) == pytest.approx(0, abs=1e-6)


def test_large_logits_do_not_overflow() -> None:
    assert kl_divergence(Softmax(rows([2000, 0])[0]), Softmax(rows([0, 2000])[0])) == pytest.approx(2000)


def test_the_error_is_relative_to_the_largest_logit_of_all_tokens() -> None:
    figure = figure_of(rows([1, -8], [2, 4]), rows([1, -8], [2, 5]))
    assert figure.max_relative_error == pytest.approx(1 / 8)


def test_agreement_is_the_share_of_tokens_with_the_same_likeliest_id() -> None:
    figure = figure_of(rows([1, 2], [2, 1], [3, 0], [0, 3]), rows([2, 1], [2, 1], [3, 0], [0, 3]))
    assert figure.top1_agreement == 0.75


def test_top5_agreement_asks_whether_the_likeliest_id_is_among_five() -> None:
    expected = rows([9, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 9])
    found = rows([3, 7, 6, 5, 4, 0, 0], [7, 6, 5, 4, 3, 2, 1])
    assert figure_of(expected, found).top5_agreement == 0.5


def test_the_largest_divergence_is_that_of_the_worst_token() -> None:
    figure = figure_of(rows([0, 0], [2000, 0]), rows([0, 0], [0, 2000]))
    assert figure.kl_max == pytest.approx(2000)
    assert figure.kl_mean == pytest.approx(1000)


def test_perplexity_is_that_of_the_tokens_that_followed() -> None:
    expected, found = np.log([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]), np.log([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5]])
    perplexity = figure_of(expected.astype(np.float32), found.astype(np.float32), [0, 1]).perplexity
    assert perplexity is not None
    assert perplexity.tokens == 2
    assert perplexity.checkpoint == pytest.approx(2)
    assert perplexity.graph == pytest.approx(4)
    assert figure_of(rows([1, 0]), rows([1, 0])).perplexity is None


def test_correlation_is_the_mean_over_tokens() -> None:
    figure = figure_of(rows([1, 2, 3], [1, 2, 3]), rows([2, 4, 6], [3, 2, 1]))
    assert figure.correlation == pytest.approx(0)


def test_logits_that_are_all_zero_have_no_largest_one_and_no_error() -> None:
    assert figure_of(rows([0, 0]), rows([0, 0])).max_relative_error == 0


def test_each_kind_of_text_and_each_language_has_figures_of_its_own() -> None:
    same, other = rows([1, 0])[0], rows([0, 1])[0]
    divergence = Divergence()
    labels = (TextLabel("a", "prose", "english"), TextLabel("b", "prose", "german"), TextLabel("c", "code"))
    for label, found in zip(labels, (same, other, same), strict=True):
        divergence.add(label, same, found, following=0)
    divergence.correlate(same, same)
    figure = divergence.figure("cpu.onnx", score=SCORE, quick_score=SCORE)
    assert figure.by_kind is not None
    assert figure.by_language is not None
    assert {name: group.tokens for name, group in figure.by_kind.items()} == {"prose": 2, "code": 1}
    assert figure.by_language["english"].kl_mean == figure.by_kind["code"].kl_mean == 0
    assert figure.by_kind["prose"].kl_mean == pytest.approx(figure.by_language["german"].kl_mean / 2)
    assert figure.by_language["german"].top1_agreement == 0
    assert figure.kl_low is None  # of three positions nothing is known


def test_random_ids_count_for_errors_and_correlation_only() -> None:
    divergence = Divergence()
    divergence.add(TEXT, *rows([1, 0], [1, 0]))
    divergence.correlate(*rows([1, 0], [0, 4]))
    figure = divergence.figure("cpu.onnx", score=SCORE, quick_score=SCORE)
    assert (figure.tokens, figure.kl_mean, figure.top1_agreement) == (1, 0, 1)
    assert figure.correlation == pytest.approx(-1)
    assert figure.max_relative_error == 4
