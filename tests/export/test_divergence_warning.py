"""An artifact too far from its checkpoint is told in words, with the recipe that comes nearer."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.export.trace.checkpoints import LLAMA, NARROW
from typer.testing import CliRunner

from thinkport.export.families import DecoderShape, Family, family_of
from thinkport.export.finer_recipe import MOST_DIVERGENCE, divergence_warning, next_finer
from thinkport.export.quantize.recipes import RECIPES
from thinkport.export.settings import ExportSettings
from thinkport.export.sizes import bits_a_weight
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.cli.main import build_app

WIDE = NARROW | {"hidden_size": 256, "intermediate_size": 256}  # rows that groups of 128 divide
ODD = LLAMA | {"hidden_size": 192, "intermediate_size": 192, "num_attention_heads": 6, "num_key_value_heads": 2}
SAMPLE = json.loads((Path(__file__).parents[1] / "contract" / "manifest.json").read_text(encoding="utf-8"))


def certificate(**kl_by_text: float) -> Certificate:
    """The committed sample's, with other divergences in its first graph."""
    found = Certificate.model_validate(SAMPLE["certificate"])
    first = found.figures[0].model_copy(update={"kl_by_text": kl_by_text})
    return found.model_copy(update={"figures": [first]})


def model(config: dict[str, Any]) -> tuple[Family, DecoderShape]:
    full = NARROW | config
    family = family_of(full)
    return family, family.shape(full)


def settings(recipe: str, **more: Any) -> ExportSettings:
    return ExportSettings(checkpoint="x", output=Path("out"), recipe=recipe, **more)


def warned(recipe: str, **kl_by_text: float) -> str | None:
    return divergence_warning(certificate(**kl_by_text), settings(recipe), *model(WIDE))


def test_a_graph_that_is_near_on_every_kind_of_text_is_not_warned_of() -> None:
    assert warned("balanced", english=0.029, code=MOST_DIVERGENCE) is None


def test_one_kind_of_text_is_enough_and_the_worst_is_named() -> None:
    said = warned("balanced", english=0.1, code=0.31, german=0.52)
    assert said is not None
    assert "mean KL divergence 0.52 nats on the text 'german', expected at most 0.3" in said
    assert "Recipe balanced is too coarse" in said
    assert "--recipe accurate" in said


def test_the_finest_recipe_has_none_above_it() -> None:
    said = warned("int8", english=1.0)
    assert said is not None
    assert "No recipe is finer: --precision fp32" in said


def test_an_artifact_that_was_not_measured_by_text_is_not_judged() -> None:
    """As those of earlier exports are."""
    before = Certificate.model_validate(SAMPLE["certificate"])
    unknown = [figure.model_copy(update={"kl_by_text": None}) for figure in before.figures]
    before = before.model_copy(update={"figures": unknown})
    assert divergence_warning(before, settings("balanced"), *model(WIDE)) is None


@pytest.mark.parametrize(
    ("config", "recipe", "finer"),
    [
        (WIDE, "fast", "balanced"),
        (ODD, "fast", "balanced"),
        (WIDE, "balanced", "accurate"),
        (WIDE, "accurate", "int8"),
        (WIDE, "int8", None),
    ],
)
def test_the_next_finer_recipe_has_the_fewest_more_bits_and_fits_the_model(
    config: dict[str, Any], recipe: str, finer: str | None
) -> None:
    family, shape = model(config)
    found = next_finer(RECIPES[recipe], settings(recipe), family, shape)
    assert (found.name if found else None) == finer
    if found is not None:
        assert bits_a_weight(found, family, shape)[0] >= bits_a_weight(RECIPES[recipe], family, shape)[0]


def test_a_checkpoint_that_a_recipe_ruins_is_told_so_everywhere(
    narrow_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkport.export.finer_recipe.MOST_DIVERGENCE", 1e-6)  # noise is never far
    run, app, folder = CliRunner(), build_app(), tmp_path / "artifact"
    options = [str(narrow_llama), "-o", str(folder), "--recipe", "balanced", "--target", "cpu", "--quiet"]
    done = run.invoke(app, ["export", *options])
    assert done.exit_code == 0, done.output
    assert "Warning: " in done.stderr
    found = read_manifest(folder).certificate
    assert found is not None
    assert found.warning is not None
    assert found.warning in done.stderr
    assert f"**Warning:** {found.warning}." in (folder / "README.md").read_text(encoding="utf-8")
    assert "is too coarse" in " ".join(run.invoke(app, ["inspect", str(folder)]).stdout.split())
    verified = run.invoke(app, ["verify", str(folder)])
    assert verified.exit_code == 0
    assert "is too coarse" in " ".join(verified.stdout.split())


def test_the_reference_checkpoint_does_not_warn(nano_artifact: Path) -> None:
    found = read_manifest(nano_artifact).certificate
    assert found is not None
    texts = [text for figure in found.figures for text in figure.kl_by_text or {}]
    assert "english" in texts
    assert "random" not in texts
    assert found.warning is None
