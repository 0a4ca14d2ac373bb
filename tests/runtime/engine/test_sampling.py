"""Sampling as pure functions, held against transformers' own processors where transformers is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.artifact.manifest import SamplingPreset
from thinkport.runtime.engine.sampling import (
    Sampler,
    SamplingSettings,
    candidates,
    draw,
    presence_penalty,
    repetition_penalty,
    softmax,
    top_k,
)
from thinkport.runtime.errors import ArtifactError, InputError

VOCABULARY = 64
LOGITS = st.lists(st.integers(-80, 80), min_size=VOCABULARY, max_size=VOCABULARY).map(
    lambda values: np.array(values, np.float32) / 8
)
SETTINGS = st.builds(
    SamplingSettings,
    temperature=st.sampled_from([0.3, 0.6, 1.0, 1.7]),
    top_k=st.sampled_from([None, 1, 5, 20, 500]),
    top_p=st.sampled_from([0.1, 0.5, 0.8, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.4, 1.0]),
)


def dense(logits, chosen: SamplingSettings):
    """Probabilities (vocabulary,) of what may be drawn."""
    ids, probabilities = candidates(logits, chosen)
    row = np.zeros(VOCABULARY)
    row[ids] = probabilities
    return row


@pytest.fixture(scope="session")
def warped():
    """Probabilities by transformers' warpers, in transformers' order."""
    reason = "transformers and torch are not installed"
    torch = pytest.importorskip("torch", reason=reason)
    process = pytest.importorskip("transformers.generation.logits_process", reason=reason)

    def run(logits, chosen: SamplingSettings):
        warpers = [process.TemperatureLogitsWarper(chosen.temperature)]
        warpers += [process.TopKLogitsWarper(chosen.top_k)] if chosen.top_k else []
        warpers += [process.TopPLogitsWarper(chosen.top_p)] if chosen.top_p < 1 else []
        warpers += [process.MinPLogitsWarper(chosen.min_p)] if chosen.min_p else []
        scores = torch.from_numpy(logits.astype(np.float64))[None]
        for warper in warpers:
            scores = warper(None, scores)
        return scores.softmax(-1)[0].numpy()

    return run


@given(st.permutations(range(VOCABULARY)), SETTINGS)
def test_candidates_are_those_of_transformers(warped, order, chosen) -> None:
    logits = np.array(order, np.float32) * np.float32(0.37)
    assert np.allclose(dense(logits, chosen), warped(logits, chosen), atol=1e-6)


@given(LOGITS, SETTINGS)
def test_candidates_are_likeliest_first_and_sum_to_one(logits, chosen) -> None:
    ids, probabilities = candidates(logits, chosen)
    assert len(set(ids.tolist())) == len(ids) >= 1
    assert np.isclose(probabilities.sum(), 1)
    assert (np.diff(probabilities) <= 0).all()
    assert logits[ids[0]] == logits.max()


@pytest.mark.parametrize("k", [1, 20, 3000])
def test_the_likeliest_of_a_large_vocabulary_are_found_all_and_no_others(k) -> None:
    logits = np.random.default_rng(0).standard_normal(151_936).astype(np.float32)
    assert set(top_k(logits, k)) == set(np.argsort(-logits)[:k])


@given(st.integers(64, 700), st.integers(1, 12), st.integers(0, 2**32))
def test_the_likeliest_are_those_of_a_whole_sort_whatever_the_groups(size, k, seed) -> None:
    random = np.random.default_rng(seed)
    logits = random.integers(-3, 9, size).astype(np.float32)
    logits[random.random(size) < 0.5] = -np.inf
    logits[random.integers(size)] = 9
    kth = max(np.sort(logits)[-k], np.finfo(np.float32).min)
    assert top_k(logits, k).tolist() == np.flatnonzero(logits >= kth).tolist()


def test_equal_logits_at_the_kth_place_are_all_kept_and_impossible_ones_never() -> None:
    assert top_k(np.array([1, 2, 1, 0], np.float32), 2).tolist() == [0, 1, 2]
    assert top_k(np.array([-np.inf, 2, -np.inf], np.float32), 2).tolist() == [1]


@given(LOGITS, SETTINGS, st.integers(0, 2**32))
def test_a_draw_is_a_candidate_and_its_seed_repeats_it(logits, chosen, seed) -> None:
    first, second = (draw(logits, chosen, np.random.default_rng(seed)) for _ in range(2))
    assert first == second
    assert first in candidates(logits, chosen)[0]


@given(LOGITS, st.lists(st.integers(0, VOCABULARY - 1), min_size=1), st.sampled_from([0.7, 1.3]))
def test_the_repetition_penalty_is_that_of_transformers(logits, ids, penalty) -> None:
    reason = "transformers and torch are not installed"
    torch = pytest.importorskip("torch", reason=reason)
    process = pytest.importorskip("transformers.generation.logits_process", reason=reason)
    expected = process.RepetitionPenaltyLogitsProcessor(penalty)(
        torch.tensor([ids]), torch.from_numpy(logits.copy())[None]
    )
    repetition_penalty(logits, np.unique(ids), penalty)
    assert np.allclose(logits, expected[0].numpy())


def test_the_presence_penalty_counts_once() -> None:
    logits = np.zeros(4, np.float32)
    presence_penalty(logits, np.array([1, 3]), 1.5)
    assert logits.tolist() == [0, -1.5, 0, -1.5]


def test_a_draw_leaves_the_logits_alone() -> None:
    logits = np.arange(4, dtype=np.float32)
    sampler = Sampler(SamplingSettings(presence_penalty=1, repetition_penalty=2), banned=[3])
    sampler.start([0, 1, 2])
    sampler.accept(1)
    sampler.draw(logits)
    assert logits.tolist() == [0, 1, 2, 3]


def test_draws_follow_the_probabilities() -> None:
    logits, sampler = np.log(np.array([0.5, 0.3, 0.2], np.float32)), Sampler(SamplingSettings(), seed=3)
    drawn = np.bincount([sampler.draw(logits) for _ in range(4000)], minlength=3) / 4000
    assert np.allclose(drawn, softmax(logits), atol=0.03)


def test_a_temperature_of_zero_takes_the_likeliest() -> None:
    assert Sampler(SamplingSettings(temperature=0)).draw(np.array([1, 5, 3], np.float32)) == 1


def test_penalties_apply_to_what_was_generated_and_repetition_to_the_prompt_too() -> None:
    logits = np.array([5, 4, 3], np.float32)
    presence = Sampler(SamplingSettings(temperature=0, presence_penalty=1.5))
    presence.start([0])
    assert presence.draw(logits) == 0
    presence.accept(0)
    assert presence.draw(logits) == 1
    repetition = Sampler(SamplingSettings(temperature=0, repetition_penalty=2.0))
    repetition.start([0])
    assert repetition.draw(logits) == 1


@given(LOGITS, SETTINGS)
def test_a_banned_id_is_never_drawn(logits, chosen) -> None:
    likeliest = int(logits.argmax())
    assert Sampler(chosen, seed=0, banned=[likeliest]).draw(logits) != likeliest


@pytest.mark.parametrize("chosen", [SamplingSettings(temperature=0), SamplingSettings(top_k=2), SamplingSettings()])
@pytest.mark.parametrize("logits", [[1, np.nan, 3], [np.nan] * 3, [1, np.inf, 3], [-np.inf] * 3], ids=str)
def test_logits_that_are_no_numbers_are_an_artifact_error(logits, chosen) -> None:
    with pytest.raises(ArtifactError, match="expected finite numbers"):
        Sampler(chosen, seed=0).draw(np.array(logits, np.float32))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed is -1, expected a whole number, 0 or more"):
        Sampler(SamplingSettings(), seed=-1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"repetition_penalty": 0},
        {"presence_penalty": float("inf")},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_by_name(wrong) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        SamplingSettings(**wrong)


def test_an_unknown_setting_is_refused_with_the_name_it_may_have_meant() -> None:
    with pytest.raises(InputError, match="did you mean 'temperature'"):
        SamplingSettings().override({"temprature": 1})


def test_a_presets_top_k_of_zero_is_no_limit() -> None:
    preset = SamplingPreset(
        temperature=0.6, top_k=0, top_p=0.95, min_p=0.0, presence_penalty=0.0, repetition_penalty=1.0
    )
    assert SamplingSettings.from_preset(preset) == SamplingSettings(temperature=0.6, top_p=0.95)
