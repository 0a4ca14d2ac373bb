"""Shared steps on real graphs: the logits of rows at unequal lengths, whatever lies in the slots beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from thinkport.runtime import Model
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.session import OrtLane, Session
from thinkport.runtime.providers.ort import import_onnxruntime

if TYPE_CHECKING:
    from thinkport.runtime.engine.session import Logits

LENGTHS = (5, 61, 1, 130, 17)


@pytest.fixture(scope="module", params=["cpu-float32-kv.onnx", "cpu.onnx"])
def session(request, nano_artifact: Path) -> Iterator[Session]:
    manifest = read_manifest(nano_artifact)
    graph = next(one for one in manifest.graphs if one.file == request.param)
    with closing(Session(import_onnxruntime("cpu"), nano_artifact, graph, manifest.model, threads=2)) as opened:
        yield opened


def filled(session: Session, lengths=LENGTHS, seed: int = 0) -> tuple[list[OrtLane], list[list[int]]]:
    """Lanes that hold texts of these lengths, and the texts."""
    draw = np.random.default_rng(seed)
    texts = [draw.integers(0, session.vocab_size, length).tolist() for length in lengths]
    lanes = [session.open_lane() for _ in texts]
    for lane, text in zip(lanes, texts, strict=True):
        lane.step(np.array([text]))
    return lanes, texts


def poison(session: Session) -> None:
    """Fill what no row holds of the slots: the largest codes, or numbers that would be in every sum."""
    slab = session.together.slots.slab
    assert slab is not None
    caches = [None if ref is None else ref() for ref in slab.caches]
    for part in slab.parts:
        worst = 127 if part.dtype == np.int8 else np.nan
        for row, cache in zip(part, caches, strict=True):
            row[:, 0 if cache is None else cache.length :] = worst


def alone(session: Session, text: list[int], *, tail: int) -> Logits:
    """The logits behind `text`, whose last `tail` tokens run one by one, in a lane that shares nothing."""
    lane = session.open_lane()
    found = lane.run(np.array([text[: len(text) - tail]]), None, 1)
    for token in text[len(text) - tail :]:
        found = lane.run(np.array([[token]]), None, 1)
    return found[0, 0].copy()


def test_rows_of_unequal_pasts_get_what_they_get_alone_beside_poisoned_slots(session: Session) -> None:
    lanes, texts = filled(session)
    for count in range(4):
        tokens = [3 + count] * len(lanes)
        found = session.together.run(lanes, tokens)
        for text, token, logits in zip(texts, tokens, found, strict=True):
            text.append(token)
            expected = alone(session, text, tail=count + 1)
            np.testing.assert_allclose(logits[0, 0], expected, atol=2e-3 if session.graph.kv.dtype != "int8" else 0.5)
        poison(session)
    assert [lane.length for lane in lanes] == [length + 4 for length in LENGTHS]


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_row_whose_move_into_a_slot_is_interrupted_keeps_what_it_holds(
    session: Session, at: int, monkeypatch
) -> None:
    lanes, texts = filled(session, lengths=[5, 9])
    cache, calls = lanes[1].slotted, itertools.count()
    of = cache._buffers.of

    def interrupted(array: Any) -> Any:
        if next(calls) == at:
            raise KeyboardInterrupt
        return of(array)

    with monkeypatch.context() as patched:
        patched.setattr(cache._buffers, "of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.together.slots.gather([cache])
    poison(session)
    for token in (7, 8):
        alone_now = lanes[1].run(np.array([[token]]), None, 1)[0, 0].copy()
        texts[1].append(token)
        assert np.corrcoef(alone_now, alone(session, texts[1], tail=token - 6))[0, 1] > 0.999
    found = session.together.run(lanes, [3, 4])
    poison(session)
    for text, token, logits in zip(texts, (3, 4), found, strict=True):
        assert np.corrcoef(logits[0, 0], alone(session, [*text, token], tail=1))[0, 1] > 0.999


def test_rows_that_leave_and_come_back_keep_what_they_hold(session: Session) -> None:
    draw, (lanes, texts) = Random(1), filled(session, lengths=[3, 40, 9, 80, 21, 7, 33, 12])
    for _ in range(40):
        chosen = draw.sample(range(len(lanes)), draw.randint(2, len(lanes)))
        found = session.together.run([lanes[at] for at in chosen], [at + 1 for at in chosen])
        for at in chosen:
            texts[at].append(at + 1)
        poison(session)
    closeness = [
        np.corrcoef(logits[0, 0], alone(session, texts[at], tail=1))[0, 1]
        for at, logits in zip(chosen, found, strict=True)
    ]
    assert min(closeness) > 0.995
    for lane, text in zip(lanes, texts, strict=True):
        assert lane.length == len(text)


def test_a_row_that_outgrows_the_slab_moves_all_to_a_larger_one(session: Session, monkeypatch) -> None:
    monkeypatch.setattr("thinkport.runtime.engine.kv_slab.FIRST", 32)
    session.share_steps(RowSettings())
    lanes, texts = filled(session, lengths=[250, 20])
    before = 0
    for token in range(12):
        found = session.together.run(lanes, [token, token])
        slab = session.together.slots.slab
        assert slab is not None
        before = before or slab.capacity
        for text in texts:
            text.append(token)
        after = slab.capacity
    assert (before, after) == (256, 512)
    for text, logits in zip(texts, found, strict=True):
        assert np.corrcoef(logits[0, 0], alone(session, text, tail=12))[0, 1] > 0.999


def test_a_slot_is_read_written_trimmed_and_rewritten_as_a_lane_of_its_own(session: Session) -> None:
    lanes, _ = filled(session, lengths=[30, 50])
    session.together.run(lanes, [1, 2])
    lane = lanes[1]
    assert lane.slotted.slot is not None
    kept = lane.read(50)
    end = lane.read_end(40)
    lane.trim(40)
    lane.write_end(end, 40)
    assert lane.length == 51
    fresh = session.open_lane()
    fresh.write(kept)
    lane.trim(50)
    np.testing.assert_array_equal(lane.run(np.array([[7]]), None, 1), fresh.run(np.array([[7]]), None, 1))


def test_logits_stay_until_a_rows_own_next_step(session: Session) -> None:
    lanes, _ = filled(session)
    first = session.together.run(lanes, [1] * len(lanes))
    kept = [logits.copy() for logits in first]
    for _ in range(3):
        session.together.run(lanes[1:], [2] * (len(lanes) - 1))
    np.testing.assert_array_equal(first[0], kept[0])


def test_lanes_that_go_free_their_slots_and_the_slab(session: Session) -> None:
    session.share_steps(RowSettings(max_rows=3))
    lanes, _ = filled(session, lengths=[9, 8, 7])
    session.together.run(lanes, [1, 1, 1])
    slots = session.together.slots
    slab = slots.slab
    assert slab is not None
    assert all(slab.caches)
    del lanes[1]
    assert [bool(ref) for ref in slab.caches] == [True, False, True]
    others, _ = filled(session, lengths=[4, 5])
    session.together.run([*lanes, others[0]], [2, 2, 2])
    session.together.run(others, [2, 2])  # of four lanes, two have to go elsewhere
    assert sum(map(bool, slab.caches)) == 3
    del slab, lanes, others
    assert slots.slab is None


def sampled(model: Model, prompts: list[list[int]], *, together: bool) -> list[tuple[list[int], list[Any]]]:
    """Tokens of replies with a seed, and the logits that each was drawn from."""
    found: list[Any] = [None] * len(prompts)

    def write(at: int) -> None:
        rows: list[Any] = []
        sampler = Sampler(
            SamplingSettings(temperature=0.8, top_k=20), seed=at, watch=lambda row, _: rows.append(row.copy())
        )
        tokens = Engine(model.session).generate(prompts[at], sampler, max_tokens=20 + 7 * at)
        found[at] = ([token.id for token in tokens], rows)

    threads = [Thread(target=write, args=(at,)) for at in range(len(prompts))]
    for thread in threads:
        thread.start()
        if not together:
            thread.join(120)
    for thread in threads:
        thread.join(120)
    return found


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    draw = np.random.default_rng(3)
    return [draw.integers(0, 300, length).tolist() for length in (3, 150, 40, 9, 88, 61, 5, 200, 17)]


def test_replies_of_our_kernels_are_to_the_bit_what_they_are_alone(
    native_kernels: None, nano_artifact: Path, prompts
) -> None:
    with Model.load(nano_artifact, kernels="auto") as model:
        assert model.session.exact_steps, model.provider_report
        expected = sampled(model, prompts, together=False)
        assert model.steps.shared_steps == 0
        found = sampled(model, prompts, together=True)
        assert model.steps.most_rows > 2
    for (ids, rows), (alone_ids, alone_rows) in zip(found, expected, strict=True):
        assert ids == alone_ids
        assert all(np.array_equal(one, other) for one, other in zip(rows, alone_rows, strict=True))


def test_deterministic_replies_of_standard_kernels_share_no_step(nano_artifact: Path, prompts) -> None:
    with Model.load(nano_artifact, kernels="off", deterministic=True) as model:
        expected = sampled(model, prompts[:4], together=False)
        found = sampled(model, prompts[:4], together=True)
        assert model.steps.shared_steps == 0
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
