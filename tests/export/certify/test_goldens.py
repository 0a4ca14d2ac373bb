"""Goldens come back as they were written, and what can't be read is told in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from thinkport.deploy.goldens import FORMAT, read_goldens

from thinkport.export.certify.goldens import TOP, golden, write_goldens
from thinkport.export.certify.reference import Logits
from thinkport.runtime.errors import ArtifactError

IDS = np.array([3, 1, 4], np.int64)


@pytest.fixture
def logits() -> Logits:
    return np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path, logits: Logits) -> Path:
    path = tmp_path / "goldens.safetensors"
    write_goldens(path, [golden(IDS, logits), golden(IDS[:1], logits[:1])])
    return path


def test_the_likeliest_tokens_come_first_with_their_log_probabilities(logits: Logits) -> None:
    found = golden(IDS, logits)
    assert found.top_ids.shape == found.top_logprobs.shape == (3, TOP)
    np.testing.assert_array_equal(found.top_ids, np.argsort(-logits, 1)[:, :TOP])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(
        np.exp(found.top_logprobs), np.take_along_axis(probabilities, found.top_ids, 1), rtol=1e-5
    )


def test_a_vocabulary_smaller_than_k_is_kept_whole(logits: Logits) -> None:
    assert golden(IDS, logits[:, :5]).top_ids.shape == (3, 5)


def test_goldens_are_read_as_they_were_written(written: Path, logits: Logits) -> None:
    first, second = read_goldens(written)
    expected = golden(IDS, logits)
    np.testing.assert_array_equal(first.ids, IDS)
    np.testing.assert_array_equal(first.top_ids, expected.top_ids)
    np.testing.assert_array_equal(first.top_logprobs, expected.top_logprobs)
    assert len(second.ids) == 1
    assert second.top_logprobs.dtype == np.float32


def test_the_file_says_what_is_in_it(written: Path) -> None:
    with safe_open(written, "np") as file:
        assert file.metadata()["format"] == FORMAT


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_a_file_cut_short_is_refused(written: Path, cut: int) -> None:
    written.write_bytes(written.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match="export the artifact again"):
        read_goldens(written)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="can't be read as goldens"):
        read_goldens(tmp_path / "goldens.safetensors")


def test_a_newer_format_is_refused_with_both_names(written: Path) -> None:
    written.write_bytes(written.read_bytes().replace(FORMAT.encode(), FORMAT[:-1].encode() + b"2"))
    with pytest.raises(ArtifactError, match="'thinkport-goldens-2', expected 'thinkport-goldens-1'"):
        read_goldens(written)
