"""Goldens come back as they were written, and what can't be read is told in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from thinkport.export.certify.goldens import SAMPLED, TOP, golden, sample_ids, write_goldens
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.goldens import FORMAT, read_goldens
from thinkport.runtime.errors import ArtifactError

IDS = np.array([3, 1, 4], np.int64)
SAMPLE_OF_5 = np.array([0, 2, 4], np.int64)


def prompt(name: str, tokens: int) -> MeasuredText:
    return MeasuredText(name=name, ids=IDS[:tokens], rows=np.arange(tokens))


@pytest.fixture
def logits() -> Logits:
    return np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path, logits: Logits) -> Path:
    path = tmp_path / "goldens.safetensors"
    write_goldens(
        path,
        [golden(prompt("00-first", 3), logits, SAMPLE_OF_5), golden(prompt("01-second", 1), logits[:1], SAMPLE_OF_5)],
    )
    return path


def test_the_likeliest_tokens_come_first_with_their_log_probabilities(logits: Logits) -> None:
    found = golden(prompt("00-first", 3), logits, sample_ids(100))
    assert found.top_ids.shape == found.top_logprobs.shape == (3, TOP)
    np.testing.assert_array_equal(found.top_ids, np.argsort(-logits, 1)[:, :TOP])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(
        np.exp(found.top_logprobs), np.take_along_axis(probabilities, found.top_ids, 1), rtol=1e-5
    )


def test_a_vocabulary_smaller_than_k_is_kept_whole(logits: Logits) -> None:
    assert golden(prompt("00-first", 3), logits[:, :5], sample_ids(5)).top_ids.shape == (3, 5)


def test_goldens_are_read_as_they_were_written(written: Path, logits: Logits) -> None:
    first, second = read_goldens(written)
    expected = golden(prompt("00-first", 3), logits, SAMPLE_OF_5)
    for part in ("ids", "rows", "top_ids", "top_logprobs", "sample_ids", "sample_logits"):
        np.testing.assert_array_equal(getattr(first, part), getattr(expected, part))
    assert (first.name, second.name, len(second.ids)) == ("00-first", "01-second", 1)
    assert second.top_logprobs.dtype == np.float32


def test_the_sample_is_the_same_each_time_and_spread_over_the_vocabulary() -> None:
    sample = sample_ids(151_936)
    np.testing.assert_array_equal(sample, sample_ids(151_936))
    assert len(set(sample.tolist())) == SAMPLED
    assert np.diff(sample).max() < 151_936 / 8
    assert len(sample_ids(5)) == 5


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
    written.write_bytes(written.read_bytes().replace(FORMAT.encode(), FORMAT[:-1].encode() + b"3"))
    with pytest.raises(ArtifactError, match="'thinkport-goldens-3', expected 'thinkport-goldens-2'"):
        read_goldens(written)
