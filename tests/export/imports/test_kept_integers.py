"""Integers of a quantized checkpoint, kept: bit for bit what the format's own library reads, and the same logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.export.imports.level0 import at_level_0
from tests.export.imports.packed import FORMATS, PackedCheckpoint, packed_checkpoint
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import fresh_ids
from tests.export.trace.checkpoints import MIXTURE

from thinkport.export.certify import recertify
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.errors import RecipeError
from thinkport.export.exporter import export
from thinkport.export.families import family_of
from thinkport.export.finer_recipe import advised
from thinkport.export.kept_recipe import chosen_recipe, told
from thinkport.export.plans import plan_graphs, suited
from thinkport.export.quantize.integers import IntegerForm, common_form, form_of
from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.export.settings import ExportSettings
from thinkport.export.sizes import weight_sizes
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module", params=FORMATS)
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PackedCheckpoint:
    pack, quantization = FORMATS[request.param]
    return packed_checkpoint(tmp_path_factory.mktemp("packed"), pack, quantization, llama="AWQ" in request.param)


@pytest.fixture(scope="module", params=["GPTQ", "AWQ"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PackedCheckpoint:
    """One without zero points and one with them."""
    return packed_checkpoint(tmp_path_factory.mktemp("example"), *FORMATS[request.param])


def test_the_checkpoint_is_read_as_its_library_reads_it(packed: PackedCheckpoint) -> None:
    checkpoint = open_checkpoint(packed.folder)
    for name, weight in packed.weights.items():
        assert (checkpoint.read(name) == weight.numpy()).all()
        assert (checkpoint.rows(name, 5, 27) == weight[5:27].numpy()).all()


def test_the_artifact_holds_the_same_weights_bit_for_bit_and_gives_their_logits(
    packed: PackedCheckpoint, exported: Callable[..., Path]
) -> None:
    artifact = exported(packed.folder, recipe="kept", kv="fp32", targets=("cpu",))
    reference = Dequantized(packed.plain, artifact)
    held = reference.model.state_dict()
    for name, weight in packed.weights.items():
        assert (held[name] == weight).all()
    ids = fresh_ids(reference.vocabulary, 1, 60)
    driver = Driver(artifact, file=at_level_0(artifact))
    assert relative(driver.step(ids), reference.logits(ids)) <= 1e-3


def test_the_manifest_and_the_card_say_what_was_kept_and_what_was_rounded(
    example: PackedCheckpoint, exported: Callable[..., Path]
) -> None:
    artifact = exported(example.folder, recipe="kept", kv="fp32", targets=("cpu",))
    manifest = read_manifest(artifact)
    kept = {name: role.kept for name, role in manifest.recipe.roles.items()}
    assert (manifest.recipe.name, kept["attention"], kept["mlp"], kept["lm_head"]) == ("kept", True, True, False)
    assert [role.relative_error for name, role in manifest.recipe.roles.items() if kept[name]] == [None, None]
    first, second, *_ = manifest.recipe.notes
    assert first.endswith("stored as F32, rounded by int8")
    assert second.startswith("attention, mlp: the checkpoint's own integers")
    card = (artifact / "README.md").read_text(encoding="utf-8")
    assert "Attention, mlp: the checkpoint's own integers" in card


def test_it_is_verified_against_the_checkpoint_that_it_was_made_of(
    example: PackedCheckpoint, exported: Callable[..., Path]
) -> None:
    artifact = exported(example.folder, recipe="kept", kv="fp32", targets=("cpu",))
    figures = recertify(artifact, str(example.folder)).figures
    assert max(figure.kl_mean for figure in figures) < 0.01


def test_a_target_without_zero_points_is_left_out_unless_it_is_named(example: PackedCheckpoint, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "checkpoint": str(example.folder),
        "output": tmp_path / "artifact",
        "certificate": False,
    }
    report = export(ExportSettings(**settings))
    points = any(role.zero_points for role in report.manifest.recipe.roles.values())
    targets = {graph.target for graph in report.manifest.graphs}
    assert targets == ({"cpu", "cuda", "webgpu"} | (set() if points else {"dml"}))
    assert any("No graph for dml" in note for note in report.manifest.recipe.notes) == points
    if points:
        with pytest.raises(RecipeError, match="target dml takes none: leave dml out of --target"):
            export(ExportSettings(**settings, targets=("dml",), force=True))


def test_a_recipe_that_is_named_rounds_the_weights_again_and_says_so(
    example: PackedCheckpoint, exported: Callable[..., Path]
) -> None:
    manifest = read_manifest(exported(example.folder, recipe="int8", targets=("cpu",), kv="fp32"))
    assert not any(role.kept for role in manifest.recipe.roles.values())
    assert manifest.recipe.roles["mlp"].relative_error
    said = next(note for note in manifest.recipe.notes if note.startswith("attention, mlp"))
    assert "dequantized and rounded by int8, on top of what the checkpoint's own rounding lost" in said
    assert "without --recipe and --precision the integers are kept as they are" in said


def test_a_plain_checkpoint_has_no_integers_to_keep(nano_checkpoint: Path, tmp_path: Path) -> None:
    settings = ExportSettings(checkpoint=str(nano_checkpoint), output=tmp_path / "out", recipe="kept")
    with pytest.raises(RecipeError, match="nano-qwen3 has none to keep: its weights are no integers"):
        export(settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["int4", "int8", "fp32"])
def test_a_precision_beside_kept_is_refused(precision: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="leave one"):
        ExportSettings(checkpoint="x", output=tmp_path, recipe="kept", precision=precision)


def test_a_graph_that_is_far_is_not_sent_to_a_finer_recipe() -> None:
    """Its integers can't be stored more finely."""
    from tests.export.test_divergence_warning import WIDE, certificate, model, settings

    kept = ModelRecipe(name="kept", summary="")
    said = advised(certificate(0.9, 1.1), settings("kept"), *model(WIDE), kept).warning
    assert said is not None
    assert "The checkpoint's integers are as they were" in said
    assert "--recipe" not in said


def test_one_role_in_several_bits_is_rounded_and_wide_groups_are_split() -> None:
    forms: list[IntegerForm | None] = [form_of(4, 256, points=False), form_of(4, 96, points=True)]
    assert forms == [IntegerForm(bits=4, group_size=128), IntegerForm(bits=4, group_size=32, points=True)]
    assert common_form(forms) == IntegerForm(bits=4, group_size=32, points=True)
    assert common_form([*forms, form_of(8, 32, points=False)]) is None
    assert common_form([*forms, form_of(4, 16, points=False)]) is None


def test_the_room_that_is_asked_for_is_that_of_the_kept_integers(
    example: PackedCheckpoint, exported: Callable[..., Path]
) -> None:
    artifact = exported(example.folder, recipe="kept", kv="fp32", targets=("cpu",))
    settings = ExportSettings(checkpoint=str(example.folder), output=artifact, kv="fp32", targets=("cpu",))
    checkpoint = open_checkpoint(example.folder)
    family = family_of(checkpoint.config)
    shape = family.shape(checkpoint.config)
    recipe = chosen_recipe(settings, checkpoint, family, shape)
    estimate = weight_sizes(family, shape, recipe, plan_graphs(settings, recipe))
    padding = 4096 * 40  # pages; nothing beside real weights, and much of so small a file
    assert 0 <= (artifact / "weights.bin").stat().st_size - estimate.total < padding


def test_of_a_mixture_of_experts_no_integers_are_kept_and_the_notes_say_so(tmp_path: Path) -> None:
    packed = packed_checkpoint(tmp_path, *FORMATS["compressed-tensors"], **MIXTURE)
    checkpoint = open_checkpoint(packed.folder)
    family = family_of(checkpoint.config)
    shape = family.shape(checkpoint.config)
    settings = suited(ExportSettings(checkpoint=str(packed.folder), output=tmp_path / "artifact"), shape)
    recipe = chosen_recipe(settings, checkpoint, family, shape)
    assert recipe is not None
    assert not any(form.kept for form in recipe.formats)
    said = [note for note in told(settings, recipe, checkpoint, family, shape) if note.startswith("attention, experts")]
    assert [note.rpartition("; ")[2] for note in said] == ["the integers of a mixture of experts are not kept"]
