"""An artifact too far from its checkpoint is told in words, with the recipe that comes nearer."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.export.trace.checkpoints import LLAMA, NARROW
from typer.testing import CliRunner

from thinkport.export.errors import CertificateError
from thinkport.export.families import DecoderShape, Family, family_of
from thinkport.export.finer_recipe import advised, next_finer
from thinkport.export.quantize.recipes import RECIPES
from thinkport.export.settings import ExportSettings
from thinkport.export.sizes import bits_a_weight
from thinkport.runtime.artifact.certificate import Certificate, TextFigure
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.artifact.verdict import verdict_of_artifact
from thinkport.runtime.cli.main import build_app
from thinkport.runtime.errors import InputError

WIDE = NARROW | {"hidden_size": 256, "intermediate_size": 256}  # rows that groups of 128 divide
ODD = LLAMA | {"hidden_size": 192, "intermediate_size": 192, "num_attention_heads": 6, "num_key_value_heads": 2}
SAMPLE = json.loads((Path(__file__).parents[1] / "contract" / "manifest.json").read_text(encoding="utf-8"))


def certificate(low: float, high: float, **kinds: tuple[float, float]) -> Certificate:
    """The committed sample's, with other divergences in its first graph."""
    found = Certificate.model_validate(SAMPLE["certificate"])
    groups = {
        name: TextFigure(tokens=300, kl_mean=sum(ends) / 2, kl_low=ends[0], kl_high=ends[1], top1_agreement=0.9)
        for name, ends in kinds.items()
    }
    bounds = {"kl_mean": (low + high) / 2, "kl_low": low, "kl_high": high}
    first = found.figures[0].model_copy(update={**bounds, "by_kind": groups, "by_language": {}})
    return found.model_copy(update={"figures": [first], "warning": None, "finer_recipe": None})


def model(config: dict[str, Any]) -> tuple[Family, DecoderShape]:
    full = NARROW | config
    family = family_of(full)
    return family, family.shape(full)


def settings(recipe: str, **more: Any) -> ExportSettings:
    return ExportSettings(checkpoint="x", output=Path("out"), recipe=recipe, **more)


def told(recipe: str, low: float, high: float, **kinds: tuple[float, float]) -> Certificate:
    return advised(certificate(low, high, **kinds), settings(recipe), *model(WIDE))


def test_a_graph_that_is_near_on_every_kind_of_text_is_not_warned_of() -> None:
    found = told("balanced", 0.02, 0.03, code=(0.03, 0.19))
    assert (found.warning, found.finer_recipe) == (None, None)


def test_a_damaged_artifact_is_told_with_the_recipe_to_take() -> None:
    found = told("balanced", 0.5, 0.6)
    assert found.warning is not None
    assert "mean KL divergence 0.55 nats on all texts, expected at most 0.2" in found.warning
    assert "Recipe balanced is too coarse" in found.warning
    assert found.finer_recipe is not None
    assert f"--recipe {found.finer_recipe}" in found.warning
    assert found.finer_recipe in RECIPES


def test_one_kind_of_text_is_enough_and_the_worst_is_named() -> None:
    found = told("balanced", 0.1, 0.15, code=(0.21, 0.4), german=(0.4, 0.6))
    assert found.warning is not None
    assert "0.5 nats on the texts 'german'" in found.warning


def test_what_may_be_damaged_has_a_recipe_to_take_and_no_warning() -> None:
    found = told("balanced", 0.15, 0.25)
    assert found.warning is None
    assert found.finer_recipe in RECIPES


def test_the_finest_recipe_has_none_above_it() -> None:
    found = told("int8", 0.9, 1.1)
    assert found.warning is not None
    assert "No recipe is finer: --precision fp32" in found.warning
    assert found.finer_recipe is None


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
    monkeypatch.setattr("thinkport.runtime.artifact.verdict.USABLE", 1e-6)  # noise is never far
    monkeypatch.setattr("thinkport.runtime.artifact.verdict.CLOSE", 1e-7)
    run, app, folder = CliRunner(), build_app(), tmp_path / "artifact"
    options = [str(narrow_llama), "-o", str(folder), "--recipe", "balanced", "--target", "cpu", "--quiet"]
    done = run.invoke(app, ["export", *options])
    assert done.exit_code == 0, done.output
    assert "Warning: " in done.stderr
    found = read_manifest(folder).certificate
    assert found is not None
    assert found.warning is not None
    assert found.warning in done.stderr
    card = (folder / "README.md").read_text(encoding="utf-8")
    said = f"damaged: take `{found.finer_recipe}`"
    assert f"**Warning:** {found.warning}." in card
    assert f"**{said}**" in card
    inspected, verified = run.invoke(app, ["inspect", str(folder)]), run.invoke(app, ["verify", str(folder)])
    assert verified.exit_code == 0
    for printed in (inspected.stdout, verified.stdout):
        assert said in " ".join(printed.split())
        assert "is too coarse" in " ".join(printed.split())
    for verb in ("inspect", "verify"):
        verdict = json.loads(run.invoke(app, [verb, str(folder), "--json"]).stdout)["verdict"]
        assert (verdict["artifact"], verdict["damaged"]) == ("damaged", True)
        assert verdict["graphs"]["cpu.onnx"] == "damaged"


def test_a_damaged_artifact_fails_where_a_floor_was_asked_for_and_leaves_nothing(
    narrow_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkport.runtime.artifact.verdict.USABLE", 1e-6)
    monkeypatch.setattr("thinkport.runtime.artifact.verdict.CLOSE", 1e-7)
    options = ["--recipe", "balanced", "--target", "cpu", "--quiet", "--min-agreement", "usable"]
    done = CliRunner().invoke(build_app(), ["export", str(narrow_llama), "-o", str(tmp_path / "artifact"), *options])
    assert isinstance(done.exception, CertificateError)
    assert "cpu.onnx is damaged" in str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["good", "2", "nan"])
def test_a_floor_that_is_neither_word_nor_correlation_is_refused(text: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(build_app(), ["export", "x", "-o", str(tmp_path / "a"), "--min-agreement", text])
    assert isinstance(done.exception, InputError)
    assert "expected a correlation from -1 to 1" in str(done.exception)


def test_the_reference_checkpoint_does_not_warn(nano_artifact: Path) -> None:
    found = read_manifest(nano_artifact).certificate
    assert found is not None
    kinds = {kind for figure in found.figures for kind in figure.by_kind or {}}
    assert kinds == {"prose", "code", "maths", "chat", "thinking", "long context", "own replies"}
    assert found.warning is None
    assert "damaged" not in str(verdict_of_artifact(found))
