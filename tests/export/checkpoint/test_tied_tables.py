"""Whether a model is tied is decided by its weights where config.json says so, as transformers decides it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.export.trace.checkpoints import narrow_checkpoint

from thinkport.export.certify.goldens import golden, sample_ids
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.certify.second_reading import second_reading
from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.families import family_of, shape_of
from thinkport.export.reference.logits import reference_logits
from thinkport.export.reference.streamed_weights import StreamedWeights
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.artifact.manifest import Task

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"
IDS = np.arange(3, 11, dtype=np.int64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return narrow_checkpoint(tmp_path / "checkpoint", seed=5)


def with_head(folder: Path, head: np.ndarray | None = None, *, without_table: bool = False) -> Path:
    tensors = load_file(folder / "model.safetensors")
    tensors[HEAD] = tensors[TABLE].copy() if head is None else head
    if without_table:
        del tensors[TABLE]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def another(folder: Path) -> np.ndarray:
    table = load_file(folder / "model.safetensors")[TABLE]
    return np.ascontiguousarray(table[::-1])


def said(checkpoint: Checkpoint) -> Golden:
    """What the export's own reference computes over eight tokens."""
    shape = shape_of(checkpoint)
    decoder = family_of(checkpoint.config).decoder(
        StreamedWeights(checkpoint=checkpoint, advance=lambda _: None), shape
    )
    rows = np.arange(len(IDS))
    logits = reference_logits(decoder, shape.layers, [IDS], [rows])[0]
    prompt = MeasuredText(name="eight", ids=IDS, rows=rows, kind=None, language=None)
    return golden(prompt, logits, sample_ids(shape.vocab_size))


def test_a_head_of_its_own_is_used_and_said(folder: Path) -> None:
    checkpoint = open_checkpoint(with_head(folder, another(folder)))
    assert shape_of(checkpoint).tied is False
    assert any("the model is not tied" in note and HEAD in note for note in checkpoint.notes)
    family_of(checkpoint.config).check_weights(checkpoint.tensors, shape_of(checkpoint))
    assert second_reading(checkpoint, said(checkpoint), None).passed


def test_a_head_that_only_its_shard_names_is_used(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors") | {HEAD: another(folder)}
    save_file(tensors, folder / "model-1.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors.keys() - {HEAD}, "model-1.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    checkpoint = open_checkpoint(folder)
    assert shape_of(checkpoint).tied is False
    assert second_reading(checkpoint, said(checkpoint), None).passed


def test_names_of_a_model_without_a_causal_lm_around_it_may_have_a_head_beside_them(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    plain = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(plain | {HEAD: another(folder)}, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint = open_checkpoint(folder)
    assert checkpoint.tensors.keys() == {*tensors, HEAD}
    assert shape_of(checkpoint).tied is False
    assert second_reading(checkpoint, said(checkpoint), None).passed


def test_one_differing_number_in_the_last_row_makes_two_tables(folder: Path) -> None:
    head = load_file(folder / "model.safetensors")[TABLE].copy()
    head[-1, -1] += 1e-3
    assert shape_of(open_checkpoint(with_head(folder, head))).tied is False


def test_the_same_table_stored_twice_is_tied_whatever_it_is_stored_in(folder: Path) -> None:
    exact = np.round(load_file(folder / "model.safetensors")[TABLE], 2).astype(np.float16)
    with_head(folder, exact)
    tensors = load_file(folder / "model.safetensors") | {TABLE: exact.astype(np.float32)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint = open_checkpoint(folder)
    assert shape_of(checkpoint).tied
    assert checkpoint.notes == ()


def test_a_head_alone_is_the_embedding_too(folder: Path) -> None:
    checkpoint = open_checkpoint(with_head(folder, another(folder), without_table=True))
    assert shape_of(checkpoint).tied
    assert HEAD not in checkpoint.tensors
    assert any("is the embedding too" in note for note in checkpoint.notes)
    assert second_reading(checkpoint, said(checkpoint), None).passed


def test_a_head_of_another_size_is_a_contradiction(folder: Path) -> None:
    checkpoint = open_checkpoint(with_head(folder, another(folder)[:-1]))
    with pytest.raises(Exception, match=rf"config and weights disagree: {HEAD} is \[511, 64\]"):
        family_of(checkpoint.config).check_weights(checkpoint.tensors, shape_of(checkpoint))


def test_a_model_that_embeds_has_no_head_to_compare(folder: Path) -> None:
    assert open_checkpoint(with_head(folder, another(folder)), task=Task.EMBEDDING).notes == ()


def test_the_second_reading_finds_a_mistake_that_the_reference_shares(folder: Path) -> None:
    """The first of these faults: the head was dropped, and every figure agreed with that."""
    tied = open_checkpoint(folder)
    mistaken = said(tied)
    with_head(folder, another(folder))
    found = second_reading(open_checkpoint(folder), mistaken, None)
    assert found.passed is False
    assert "transformers reads another model" in found.detail


@pytest.mark.parametrize(("part", "within"), [("", "_orig_mod."), ("model.layers.0.", "model.layers.0._orig_mod.")])
def test_what_transformers_cannot_read_is_said(folder: Path, tmp_path: Path, part: str, within: str) -> None:
    wrapped = shutil.copytree(folder, tmp_path / "wrapped")
    tensors = load_file(wrapped / "model.safetensors")
    renamed = {
        within + name.removeprefix(part) if name.startswith(part) else name: one for name, one in tensors.items()
    }
    save_file(renamed, wrapped / "model.safetensors")
    checkpoint = open_checkpoint(wrapped)
    found = second_reading(checkpoint, said(checkpoint), None)
    assert found.passed is None
    assert "does not know the names" in found.detail


def test_the_copied_configuration_says_what_the_weights_are(folder: Path, tmp_path: Path) -> None:
    from thinkport.export.checkpoint.tokenizer_files import copy_tokenizer_files

    checkpoint = open_checkpoint(with_head(folder, another(folder)))
    (tmp_path / "copy").mkdir()
    copy_tokenizer_files(checkpoint, tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / "config.json").read_text())["tie_word_embeddings"] is False


def test_what_transformers_raises_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(folder)
    golden = said(checkpoint)

    def fails(*_: object) -> None:
        raise RuntimeError("no such\nkernel")

    monkeypatch.setattr("thinkport.export.certify.second_reading._outputs", fails)
    found = second_reading(checkpoint, golden, None)
    assert found == (None, "not read by transformers, which says: no such kernel")
