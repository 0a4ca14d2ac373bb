"""What is refused before the long work, by a checkpoint's small files alone."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
from tests.export.trace.checkpoints import narrow_checkpoint
from tests.plain_recipes import HEAD_IN_8

from thinkport.export.certify.graph_parts import cut
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.errors import CertificateError, CheckpointError, RecipeError, UnsupportedModelError
from thinkport.export.exporter import export
from thinkport.export.families import family_of, shape_of
from thinkport.export.plans import plan_graphs
from thinkport.export.preflight import check_export, check_room
from thinkport.export.settings import ExportSettings
from thinkport.export.sizes import room, weight_sizes
from thinkport.runtime.artifact.manifest import read_manifest


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "int8"},
        {"recipe": HEAD_IN_8},
        {"recipe": "accurate"},
        {"precision": "fp32"},
        {"precision": "fp32", "fuse": False},
    ],
    ids=str,
)
def test_the_estimate_is_the_size_of_the_weights_but_for_padding(
    exported: Callable[..., Path], nano_checkpoint: Path, options: dict[str, Any]
) -> None:
    folder = exported(nano_checkpoint, **options)
    settings = ExportSettings(checkpoint="x", output=Path("y"), **options)
    config = open_checkpoint(nano_checkpoint).config
    family = family_of(config)
    shape, plans, recipe = family.shape(config), plan_graphs(settings), settings.quantization
    estimate = weight_sizes(family, shape, recipe, plans)
    finer = room(family, shape, recipe, plans) if recipe is not None else 0
    assert estimate.total + finer == pytest.approx((folder / "weights.bin").stat().st_size, rel=0.02)
    for graph in read_manifest(folder).graphs:
        parts = cut(ir.load(folder / graph.file))
        assert max(part.weights for part in parts) <= 1.02 * estimate.largest_part < 1.1 * estimate.total


def test_a_head_that_fused_attention_does_not_take_is_exported_without_fusing(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(narrow_checkpoint(tmp_path / "narrow", head_dim=24))
    fused = ExportSettings(checkpoint="x", output=tmp_path / "artifact", precision="fp32")
    with pytest.raises(UnsupportedModelError, match=r"head_dim is 24: .* of 16 only; export with --no-fuse"):
        check_export(fused, checkpoint)
    check_export(ExportSettings(checkpoint="x", output=fused.output, precision="fp32", fuse=False), checkpoint)


def test_too_little_memory_for_the_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(narrow_checkpoint(tmp_path / "narrow"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: _Memory())
    check_export(ExportSettings(checkpoint="x", output=tmp_path / "artifact", certificate=False), checkpoint)
    with pytest.raises(CertificateError, match="export with --no-certificate"):
        check_export(ExportSettings(checkpoint="x", output=tmp_path / "artifact"), checkpoint)


@pytest.mark.parametrize(
    ("template", "think", "says"),
    [
        ("{{ '<think>' }}", False, "always opens a thought.*without --no-think"),
        ("no tokens", True, "can't think: export without --think"),
    ],
)
def test_a_default_that_the_model_cannot_follow_is_refused(
    nano_checkpoint: Path, tmp_path: Path, template: str, think: bool, says: str
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(nano_checkpoint, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        if name == "tokenizer_config.json":
            settings["chat_template"] = template
            del settings["added_tokens_decoder"]  # which may name no token that tokenizer.json lacks
        elif think:
            settings["added_tokens"] = [token for token in settings["added_tokens"] if "think" not in token["content"]]
        (folder / name).write_text(json.dumps(settings), encoding="utf-8")
    checkpoint = open_checkpoint(folder)
    asked = ExportSettings(checkpoint="x", output=tmp_path / "artifact", enable_thinking=think)
    with pytest.raises(CheckpointError, match=says):
        check_export(asked, checkpoint)
    check_export(replace(asked, enable_thinking=None), checkpoint)


def test_the_default_goes_into_the_manifest(exported: Callable[..., Path], nano_checkpoint: Path) -> None:
    assert read_manifest(exported(nano_checkpoint, precision="fp32", enable_thinking=False)).enable_thinking is False
    assert read_manifest(exported(nano_checkpoint, precision="fp32")).enable_thinking is None


class _Memory:
    available = 1 << 10


@pytest.mark.parametrize("target", ["cpu", "dml", "cuda"])
def test_a_budget_that_is_refused_names_one_that_is_taken(nano_checkpoint: Path, tmp_path: Path, target: str) -> None:
    asked: dict[str, Any] = {"checkpoint": str(nano_checkpoint), "output": tmp_path / "out", "targets": (target,)}
    low: list[tuple[dict[str, Any], str]] = [
        ({"bits": 4.0}, r"at least ([\d.]+) a weight"),
        ({"size": 10_000}, r"take ([\d.]+)MB at least"),
    ]
    for wrong, form in low:
        with pytest.raises(RecipeError) as refused:
            export(ExportSettings(**asked, **wrong))
        told = re.search(form, str(refused.value))
        assert told is not None
        least = float(told[1])
        (name,) = wrong
        budget: dict[str, Any] = {name: least if name == "bits" else int(least * 1e6)}
        enough = ExportSettings(**asked, **budget)
        opened = open_checkpoint(nano_checkpoint)
        check_room(enough, family_of(opened.config), shape_of(opened), enough.quantization)


def test_a_budget_beyond_the_finest_is_no_more_than_that(nano_checkpoint: Path, tmp_path: Path) -> None:
    settings = ExportSettings(checkpoint=str(nano_checkpoint), output=tmp_path / "out", size=10**15)
    opened = open_checkpoint(nano_checkpoint)
    check_room(settings, family_of(opened.config), shape_of(opened), settings.quantization)
