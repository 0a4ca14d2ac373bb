"""Keys and values read from one lane and written to another, on real graphs with both kinds of KV cache."""

from pathlib import Path

import numpy as np
import pytest

from thinkport.runtime import InputError, Model
from thinkport.runtime.engine.kv_cache import InPlaceCache, KvSnapshot

LENGTHS = [1, 5, 255, 256, 257, 512, 513]  # around the capacities of 256 and 512 tokens


@pytest.fixture(scope="module", params=["nano_fp32_artifact", "nano_unfused_artifact"])
def session(request):
    """The model in fp32: with its KV cache in place, and with an appended one."""
    with Model.load(request.getfixturevalue(request.param)) as loaded:
        yield loaded.session


def some_ids(session, length: int, seed: int = 0):
    return np.random.default_rng(seed).integers(0, session.vocab_size, (1, length))


def filled(session, ids):
    lane = session.open_lane()
    lane.step(ids)
    return lane


def decoded(lane, tokens: int = 3):
    return np.concatenate([lane.step(np.array([[at + 7]])).copy() for at in range(tokens)])


def poison(lane, start: int) -> None:
    """Make everything behind `start` not a number, which spoils all logits that it has a part in."""
    for value in lane.cache._values:
        value.numpy()[:, :, start:] = np.nan


@pytest.mark.parametrize("length", LENGTHS)
def test_a_fresh_lane_goes_on_from_a_snapshot_as_the_old_lane_does(session, length) -> None:
    old, fresh = filled(session, some_ids(session, length)), session.open_lane()
    fresh.write(old.read(length))
    assert fresh.length == length
    assert np.array_equal(decoded(fresh), decoded(old))


@pytest.mark.parametrize(("held", "length"), [(300, 256), (256, 300), (3, 600), (600, 3)])
def test_a_used_lane_holds_a_snapshots_tokens_only(session, held, length) -> None:
    old, used = filled(session, some_ids(session, length)), filled(session, some_ids(session, held, seed=1))
    used.write(old.read(length))
    assert used.length == length
    assert np.array_equal(decoded(used), decoded(old))


@pytest.mark.parametrize("length", LENGTHS)
def test_what_a_lane_holds_behind_a_snapshot_is_not_read(session, length) -> None:
    old, used = filled(session, some_ids(session, length)), filled(session, some_ids(session, 600, seed=1))
    snapshot = old.read(length)
    poison(used, 0)
    used.write(snapshot)
    if isinstance(used.cache, InPlaceCache):
        assert np.isnan(used.cache._values[0].numpy()[:, :, length:]).any(), "the rest of the buffer is poison still"
    assert np.array_equal(decoded(used), decoded(old))


def test_a_snapshots_start_is_that_of_a_lane_that_ran_no_more(session) -> None:
    old, fresh = filled(session, some_ids(session, 300)), session.open_lane()
    fresh.write(old.read(300).first(200))
    old.trim(200)
    assert np.array_equal(decoded(fresh), decoded(old))


def test_a_snapshot_is_a_copy_that_neither_lane_changes(session) -> None:
    old, fresh = filled(session, some_ids(session, 20)), session.open_lane()
    snapshot = old.read(20)
    kept = [part.copy() for part in snapshot.parts]
    fresh.write(snapshot)
    for lane in (old, fresh):
        poison(lane, 0)
    assert all(np.array_equal(part, before) for part, before in zip(snapshot.parts, kept, strict=True))


def test_a_snapshot_has_the_graphs_layout_and_the_bytes_of_its_tokens(session) -> None:
    snapshot, model = filled(session, some_ids(session, 40)).read(30), session.model
    assert (snapshot.layout, snapshot.length) == (session.kv_layout, 30)
    assert {part.shape for part in snapshot.parts} == {(1, model.kv_heads, 30, model.head_dim)}
    assert snapshot.nbytes == 2 * model.layers * model.kv_heads * 30 * model.head_dim * 4


def test_reading_and_writing_leave_a_lane_in_its_buffers(nano_fp32_artifact: Path) -> None:
    session = Model.load(nano_fp32_artifact).session
    lane = filled(session, some_ids(session, 40))
    before = [value.data_ptr() for value in lane.cache._values]
    lane.write(lane.read(30))
    decoded(lane)
    assert [value.data_ptr() for value in lane.cache._values] == before
    assert [value.data_ptr() for value in lane._binding.get_outputs()[1:]] == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda part: part.astype(np.float16), "is float16, .* expected float32, 3 layers of 2 heads of 128"),
        (lambda part: part[..., :64], "3 layers of 2 heads of 64, expected"),
        (lambda part: np.zeros((1, 2, 8193, 128), np.float32), "has 8193 tokens, the model's context is 8192"),
    ],
)
def test_a_snapshot_of_another_layout_is_refused_and_changes_nothing(session, change, says) -> None:
    lane, same = (filled(session, some_ids(session, 20)) for _ in range(2))
    wrong = KvSnapshot(parts=tuple(change(part) for part in lane.read(20).parts))
    with pytest.raises(InputError, match=says):
        lane.write(wrong)
    assert np.array_equal(decoded(lane), decoded(same))


def test_a_start_is_a_view_and_owned_has_memory_of_its_own() -> None:
    whole = KvSnapshot(parts=tuple(np.full((1, 1, 6, 2), at, np.int8) for at in range(4)))
    start = whole.first(2)
    assert (start.length, start.nbytes) == (2, 16)
    assert np.shares_memory(start.parts[0], whole.parts[0])
    assert not np.shares_memory(start.owned().parts[0], whole.parts[0])
    assert np.array_equal(start.owned().parts[3], start.parts[3])
    assert whole.owned() is whole
