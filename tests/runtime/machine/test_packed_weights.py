"""Weights laid out once a machine: kept at the first load, mapped at later ones, and never needed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thinkport.runtime.artifact.manifest import fingerprint, read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import ArtifactError, CacheWarning
from thinkport.runtime.machine.machine_cache import MachineCache
from thinkport.runtime.machine.packed_weights import PackedWeights
from thinkport.runtime.model import Model
from thinkport.runtime.providers.ort import import_onnxruntime

ROOM = 0.3  # of a logit, for equivalent int4 graphs
Load = Callable[..., Session]


@pytest.fixture
def cache(tmp_path: Path) -> MachineCache:
    return MachineCache(tmp_path / "cache")


def packed_weights(cache: MachineCache, artifact: str) -> PackedWeights:
    return PackedWeights(cache=cache, artifact=artifact, bytes=1 << 20, check_source=lambda: None, worth_it=0)


@pytest.fixture
def load(nano_artifact: Path, cache: MachineCache) -> Load:
    """Loads the reference artifact with the cache, or with `packed=None` without."""
    manifest = read_manifest(nano_artifact)
    kept = packed_weights(cache, fingerprint(nano_artifact))

    def load(packed: PackedWeights | None = kept) -> Session:
        return Session(import_onnxruntime(), nano_artifact, manifest.graphs[0], manifest.model, 1, packed)

    return load


def logits(session: Session, ids: np.ndarray) -> np.ndarray:
    """Of a prompt's last three tokens and of one more token."""
    lane = session.open_lane()
    return np.concatenate([lane.step(ids, keep=3).copy(), lane.step(ids[:, :1]).copy()], axis=1)


def is_mapped(session: Session) -> bool:
    return session._opened is not None and session._opened.lease is not None


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng().integers(0, 500, (1, 21))


def test_the_first_load_keeps_and_the_second_maps_with_the_same_logits(
    load: Load, cache: MachineCache, ids: np.ndarray
) -> None:
    plain, first = load(None), load()
    second = load()
    assert [is_mapped(session) for session in (plain, first, second)] == [False, False, True]
    assert len(cache.entries()) == 1
    for session in (first, second):
        assert session.takes_keep
        assert session.inputs == plain.inputs
        np.testing.assert_allclose(logits(session, ids), logits(plain, ids), atol=ROOM)


def test_a_loaded_session_holds_its_entry_and_a_dropped_one_lets_go(load: Load, cache: MachineCache) -> None:
    load()
    session = load()
    assert cache.clear() == 0
    del session
    assert cache.clear() > 0


@pytest.mark.parametrize("file", ["graph.onnx", "graph.weights", "entry.json"])
def test_a_damaged_entry_is_made_anew(load: Load, cache: MachineCache, ids: np.ndarray, file: str) -> None:
    expected = logits(load(), ids)
    path = cache.folder / cache.entries()[0].name / file
    damaged = bytearray(path.read_bytes())
    damaged[np.random.default_rng().integers(len(damaged))] ^= 0xFF
    path.write_bytes(damaged)
    session = load()
    assert not is_mapped(session)
    np.testing.assert_allclose(logits(session, ids), expected, atol=ROOM)
    del session
    assert is_mapped(load())


def test_an_entry_that_onnx_runtime_refuses_is_made_anew(load: Load, cache: MachineCache, ids: np.ndarray) -> None:
    """Its sums are right, as those of an entry from a CPU that can't be told from this one would be."""
    expected = logits(load(), ids)
    key = cache.entries()[0].key
    cache.clear()
    lease = cache.make(key, lambda folder: (folder / "graph.onnx").write_bytes(b"no graph"), expected_bytes=8)
    assert lease
    lease.close()
    np.testing.assert_allclose(logits(load(), ids), expected, atol=ROOM)
    assert is_mapped(load())


def test_where_weights_can_t_be_kept_the_model_loads_with_a_warning(
    load: Load, cache: MachineCache, ids: np.ndarray
) -> None:
    cache.folder.parent.mkdir(exist_ok=True)
    cache.folder.write_bytes(b"a file where the folder should be")
    with pytest.warns(CacheWarning, match="can't be used"):
        session = load()
    np.testing.assert_allclose(logits(session, ids), logits(load(None), ids), atol=ROOM)


def test_a_graph_that_onnx_runtime_refuses_is_an_artifact_s_error_and_keeps_nothing(
    tmp_path: Path, nano_artifact: Path, cache: MachineCache
) -> None:
    manifest = read_manifest(nano_artifact)
    (tmp_path / manifest.graphs[0].file).write_bytes(b"no graph")
    packed = packed_weights(cache, "b" * 64)
    with pytest.raises(ArtifactError, match="can't be loaded by ONNX Runtime"):
        Session(import_onnxruntime(), tmp_path, manifest.graphs[0], manifest.model, 1, packed)
    assert cache.entries() == []


def test_nothing_is_kept_of_a_damaged_artifact_since_it_would_stand_for_every_copy(
    load: Load, cache: MachineCache
) -> None:
    def damaged() -> None:
        raise ArtifactError("weights.bin: the file is damaged, copy it again")

    packed = replace(packed_weights(cache, "b" * 64), check_source=damaged)
    with pytest.raises(ArtifactError, match="copy it again"):
        load(packed)
    assert cache.entries() == []


def test_a_small_artifact_keeps_nothing(nano_artifact: Path, cache: MachineCache) -> None:
    with Model.load(nano_artifact, cache_dir=cache.folder) as model:
        assert model.generate("What is 86*57?", max_tokens=1)
    assert not cache.folder.exists()
