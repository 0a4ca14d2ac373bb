"""Long prompts through the graph for them: the same cache to a few codes, whatever it follows, and gone afterwards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import fingerprint, read_manifest
from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.engine.session import OrtLane, Session
from thinkport.runtime.errors import CacheWarning
from thinkport.runtime.machine.machine_cache import MachineCache
from thinkport.runtime.machine.prefill_weights import PrefillWeights
from thinkport.runtime.providers.ort import import_onnxruntime

CLOSE = 0.5  # of logits around 10; measured 0.1, other tokens make 2 and more
CODES = 12  # that a code may be off; measured 5
OFF = 0.6  # codes, on average; measured 0.33
FROM, DERIVE = 8, 64  # tokens

Open = Callable[[], Session]


@pytest.fixture
def opened(nano_artifact: Path, tmp_path: Path) -> Open:
    """Opens the artifact with a cache of its own and low thresholds; again over the same cache."""

    def opened() -> Session:
        manifest = read_manifest(nano_artifact)
        prefill = manifest.graphs[0].prefill
        assert prefill is not None
        low = prefill.model_copy(update={"from_tokens": FROM, "derive_from_tokens": DERIVE})
        graph = manifest.graphs[0].model_copy(update={"prefill": low})
        cache = MachineCache(tmp_path / "cache")
        weights = PrefillWeights(
            folder=nano_artifact, artifact=fingerprint(nano_artifact), cache=cache, check_source=lambda: None
        )
        return Session(import_onnxruntime(), nano_artifact, graph, manifest.model, 2, prefill=weights)

    return opened


def some_ids(session: Session, tokens: int) -> NDArray[np.int64]:
    return np.random.default_rng().integers(0, session.vocab_size, (1, tokens))


def fed(lane: OrtLane, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits after the last of `ids`, fed in the steps of a prompt."""
    with lane.prefilling(ids.shape[1]) as (chunk, step):
        for at in range(0, ids.shape[1], chunk):
            logits = step(ids[:, at : at + chunk])[0, -1].copy()
    return logits


def fed_plainly(session: Session, ids: NDArray[np.int64]) -> tuple[NDArray[np.float32], KvSnapshot]:
    lane = session.open_lane()
    for at in range(0, ids.shape[1], 50):
        logits = lane.step(ids[:, at : at + 50])[0, -1].copy()
    return logits, lane.read(ids.shape[1])


def check(session: Session, lane: OrtLane, logits: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
    wanted, cache = fed_plainly(session, ids)
    assert np.abs(logits - wanted).max() < CLOSE
    for ours, theirs in zip(lane.read(ids.shape[1]).parts, cache.parts, strict=True):
        steps = np.abs(ours.astype(np.int16) - theirs)
        assert steps.max() <= CODES
        assert steps.mean() < OFF


def is_used(session: Session, tokens: int) -> bool:
    assert session.prefill is not None
    with session.prefill.use(tokens) as graph:
        return graph is not None


def test_a_long_prompt_in_chunks_gives_the_cache_and_logits_of_the_other_graph(opened: Open) -> None:
    session = opened()
    ids, lane = some_ids(session, 700), session.open_lane()
    check(session, lane, fed(lane, ids), ids)
    assert is_used(session, 700)


def test_a_long_prompt_over_a_past_and_tokens_after_it_give_the_same_cache(opened: Open) -> None:
    session = opened()
    ids, lane = some_ids(session, 400), session.open_lane()
    lane.step(ids[:, :33])
    fed(lane, ids[:, 33:390])
    for at in range(390, 400):
        logits = lane.step(ids[:, at : at + 1])[0, -1].copy()
    check(session, lane, logits, ids)


def test_what_a_trimmed_lane_held_before_is_not_seen(opened: Open) -> None:
    session = opened()
    ids, lane = some_ids(session, 300), session.open_lane()
    fed(lane, some_ids(session, 500))
    lane.write(KvSnapshot(parts=tuple(np.full_like(part, 127) for part in lane.read(500).parts)))
    lane.trim(0)
    check(session, lane, fed(lane, ids), ids)


def test_it_is_let_go_of_after_the_last_of_several_prompts_and_its_memory_with_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefill = opened().prefill
    assert prefill is not None
    given_back: list[bool] = []
    monkeypatch.setattr(
        "thinkport.runtime.machine.prefill_weights.give_back", lambda: given_back.append(prefill.loaded)
    )
    with prefill.use(DERIVE) as first:
        with prefill.use(FROM) as second:
            assert first is second is not None
        assert prefill.loaded
        assert given_back == []
    assert given_back == [False]


def test_short_prompts_never_load_it_and_middling_ones_only_where_its_weights_are_derived(opened: Open) -> None:
    session = opened()
    assert not is_used(session, FROM)
    assert is_used(session, DERIVE)
    assert is_used(session, FROM)
    assert not is_used(session, FROM - 1)
    assert is_used(opened(), FROM)


def test_damaged_weights_are_derived_again(opened: Open, tmp_path: Path) -> None:
    session = opened()
    assert is_used(session, DERIVE)
    (weights,) = (tmp_path / "cache").glob("*/*.bin")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert not is_used(session, FROM)
    ids, lane = some_ids(session, 200), session.open_lane()
    check(session, lane, fed(lane, ids), ids)
    assert is_used(session, FROM)


def test_a_batch_goes_through_the_other_graph(opened: Open) -> None:
    lane = opened().open_lane(2)
    with lane.prefilling(1000) as (chunk, step):
        assert chunk == opened().prefill_chunk
        assert step(np.ones((2, 100), np.int64)).shape[0] == 2


def test_a_cache_that_cannot_be_written_leaves_prompts_to_the_other_graph(opened: Open, tmp_path: Path) -> None:
    session = opened()
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.warns(CacheWarning):
        assert not is_used(session, 1000)
