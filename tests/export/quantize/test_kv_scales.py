"""Scales of an int8 cache: whatever keys and values are, codes come out of them that give them back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thinkport.export.quantize.kv_scales import (
    ALIKE,
    LEVELS,
    MOST_DIVISOR,
    VALUE_ROOM,
    KvScales,
    key_scales,
    shared,
    value_scales,
)

Floats = NDArray[np.float32]

CENTER = np.zeros((), np.float32)


@st.composite
def states(draw: st.DrawFn) -> Floats:
    """(tokens, kv_heads, head_dim) of any tail and loudness, with loud channels, silent ones and dead heads."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tokens, heads, width = draw(st.integers(1, 40)), draw(st.integers(1, 3)), 2 * draw(st.integers(1, 16))
    found = rng.standard_t(draw(st.sampled_from([2.5, 4.0, 100.0])), (tokens, heads, width))
    found *= 10.0 ** draw(st.integers(-8, 8))
    found[:, :, rng.random(width) < 0.1] *= 1000
    found[:, :, rng.random(width) < 0.1] = 0
    found[:, rng.random(heads) < 0.2] = 0
    return found.astype(np.float32)


def restored(found: Floats, scales: Floats) -> Floats:
    """What the operator makes of them."""
    return np.clip(np.rint(found / scales), -128, 127) * scales


def turned(keys: Floats, angle: float) -> Floats:
    """Rotary at another position, the same angle for every pair."""
    first, second = np.split(keys.astype(np.float64), 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(np.float32)


@settings(deadline=None)
@given(states())
def test_scales_are_finite_and_positive_even_of_a_dead_head(found: Floats) -> None:
    for scales in (key_scales(found), value_scales(found, CENTER)):
        assert scales.dtype == np.float32
        assert scales.shape == found.shape[1:]
        assert (np.isfinite(scales) & (scales > 0) & np.isfinite(1 / scales)).all()


@settings(deadline=None)
@given(states())
def test_what_was_seen_is_given_back_to_half_a_step(found: Floats) -> None:
    for scales in (key_scales(found), value_scales(found, CENTER)):
        assert (np.abs(restored(found, scales) - found) <= scales * 0.501).all()


@settings(deadline=None)
@given(states(), st.floats(0, 7))
def test_keys_are_given_back_to_half_a_step_at_every_position(keys: Floats, angle: float) -> None:
    scales = key_scales(keys)
    elsewhere = turned(keys, angle)
    assert (np.abs(restored(elsewhere, scales) - elsewhere) <= scales * 0.501).all()


@settings(deadline=None)
@given(states())
def test_values_half_as_loud_again_are_given_back_too(values: Floats) -> None:
    scales = value_scales(values, CENTER)
    louder = values * np.float32(VALUE_ROOM)
    assert (np.abs(restored(louder, scales) - louder) <= scales * 0.501).all()


def test_a_loud_channel_leaves_the_others_their_own_steps() -> None:
    values = np.random.default_rng().standard_normal((50, 1, 64)).astype(np.float32)
    values[:, :, 5] *= 1e4
    scales = value_scales(values, CENTER)
    assert (np.delete(scales, 5) < 1e-3 * scales[0, 5]).all()


def test_a_channel_that_was_silent_gets_a_share_of_its_heads_range() -> None:
    values = np.ones((4, 1, 32), np.float32)
    values[:, :, 7] = 0
    assert value_scales(values, CENTER)[0, 7] * LEVELS / VALUE_ROOM == np.float32(1 / 16)


def test_the_channels_that_rotary_turns_against_each_other_have_one_step() -> None:
    keys = np.random.default_rng().standard_normal((50, 2, 64)).astype(np.float32)
    first, second = np.split(key_scales(keys), 2, axis=-1)
    np.testing.assert_array_equal(first, second)


@settings(deadline=None)
@given(states(), st.floats(0, 7))
def test_divided_keys_share_a_step_that_gives_them_back_at_every_position(keys: Floats, angle: float) -> None:
    apart = KvScales(keys=[key_scales(keys)], values=[value_scales(keys, CENTER)])
    scales, divisors = shared(apart, by_head=bool(len(keys) % 2))
    assert np.unique(scales.keys[0]).size == 1
    assert scales.keys[0].shape == scales.values[0].shape  # the operator takes no mixture of forms
    elsewhere = turned(keys / divisors[0], angle)
    assert (np.abs(restored(elsewhere, scales.keys[0]) - elsewhere) <= scales.keys[0] * 0.501).all()


@settings(deadline=None)
@given(states())
def test_divisors_are_the_same_for_both_of_a_pair_and_stay_in_bounds(keys: Floats) -> None:
    apart = KvScales(keys=[key_scales(keys)] * 2, values=[value_scales(keys, CENTER)] * 2)
    _, divisors = shared(apart, by_head=bool(len(keys) % 2))
    first, second = np.split(divisors, 2, axis=-1)
    np.testing.assert_array_equal(first, second)
    assert ((divisors >= 1 / MOST_DIVISOR) & (divisors <= MOST_DIVISOR)).all()


def test_a_shared_step_is_no_coarser_than_the_loudest_heads_own() -> None:
    keys = np.random.default_rng().standard_normal((200, 2, 64)).astype(np.float32) * np.geomspace(0.3, 3, 32).repeat(2)
    apart = key_scales(keys.astype(np.float32))
    scales, divisors = shared(KvScales(keys=[apart], values=[apart]), by_head=False)
    np.testing.assert_allclose((scales.keys[0] * divisors[0])[0], apart.max(0), rtol=1e-5)


def test_heads_that_share_no_norm_keep_their_own_steps() -> None:
    keys = np.random.default_rng().standard_normal((200, 2, 64)).astype(np.float32)
    keys[:, 1] *= 10
    apart = key_scales(keys)
    scales, divisors = shared(KvScales(keys=[apart], values=[apart]), by_head=True)
    np.testing.assert_allclose(scales.keys[0] * divisors[0], apart, rtol=1e-5)


def test_values_share_a_step_where_their_channels_are_alike() -> None:
    alike = np.random.default_rng().uniform(0.1, 0.2, (2, 64)).astype(np.float32)
    loud = alike.copy()
    loud[1, 5] = np.median(alike) * ALIKE * 2
    scales, _ = shared(KvScales(keys=[alike, alike], values=[alike, loud]), by_head=False)
    assert scales.values[0] == alike.max()
    np.testing.assert_array_equal(scales.values[1], loud)
    assert [layer.shape for layer in scales.keys] == [(), loud.shape]
