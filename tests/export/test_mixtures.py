"""A mixture of experts the whole way: exported, verified, run and opened elsewhere, and refused where it can't run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from tests.export.trace.checkpoints import MIXTURE, narrow_checkpoint, uneven_routers

from thinkport.deploy.verification import verify
from thinkport.export.calibrate import LayerInputs
from thinkport.export.calibrate.layer_inputs import FEWEST
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.errors import UnsupportedModelError
from thinkport.export.exporter import ExportReport, export
from thinkport.export.families import family_of
from thinkport.export.settings import ExportSettings
from thinkport.export.view import show_report
from thinkport.runtime import Model
from thinkport.runtime.artifact.manifest import Mixture

if TYPE_CHECKING:
    from collections.abc import Iterator

GREEDY = {"temperature": 0.0}
GENAI = """
import sys, onnxruntime_genai as og
model = og.Model(sys.argv[1])
params = og.GeneratorParams(model)
params.set_search_options(max_length=16, do_sample=False)
generator = og.Generator(model, params)
generator.append_tokens([54, 285, 268, 220, 18])
while not generator.is_done():
    generator.generate_next_token()
print(len(generator.get_sequence(0)))
"""


@pytest.fixture(scope="module")
def report(narrow_mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """An export with nothing said but where to."""
    folder = tmp_path_factory.mktemp("mixture") / "artifact"
    return export(ExportSettings(checkpoint=str(narrow_mixture), output=folder))


@pytest.fixture(scope="module")
def model(report: ExportReport) -> Iterator[Model]:
    with Model.load(report.folder) as opened:
        yield opened


@pytest.mark.parametrize("targets", [("cuda",), ("cpu", "dml")])
def test_a_target_that_can_not_run_experts_is_refused_before_anything_is_written(
    narrow_mixture: Path, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    settings = ExportSettings(checkpoint=str(narrow_mixture), output=tmp_path / "artifact", targets=targets)
    with pytest.raises(UnsupportedModelError, match=rf"target {targets[-1]} can't run a mixture .* --target cpu"):
        export(settings)
    assert list(tmp_path.iterdir()) == []


def test_without_a_target_the_cpus_graph_is_written_and_the_others_are_named(report: ExportReport) -> None:
    graphs = report.manifest.graphs
    assert [(graph.file, graph.onnxruntime_floor) for graph in graphs] == [("cpu.onnx", "1.32")]
    assert report.left_out == ["dml", "cuda", "webgpu"]
    screen = io.StringIO()
    show_report(report, Console(file=screen, width=200))
    assert "graphs for dml, cuda, webgpu, which can't run a mixture of experts" in screen.getvalue()


def test_the_manifest_and_the_card_say_what_the_layers_are(report: ExportReport) -> None:
    assert report.manifest.model.mixture == Mixture(
        layers=4, experts=16, active=4, intermediate_size=64, normalized=True
    )
    card = (report.folder / "README.md").read_text(encoding="utf-8")
    assert "16 experts of 64 a layer, 4 a token, 4 heads" in card
    roles = report.manifest.recipe.roles
    assert (roles["experts"].bits, roles["router"].bits) == (4, 32)
    assert roles["experts"].weights == 4 * 16 * 3 * 64 * 128


def test_layers_of_both_kinds_are_told_apart(report: ExportReport) -> None:
    changed = report.manifest.model.model_copy(update={"layers": 6})
    assert changed.mlps == "16 experts of 64 a layer, 4 a token, and in 2 layers MLP 256"


def test_its_certificate_holds_here_and_against_the_checkpoint(report: ExportReport, narrow_mixture: Path) -> None:
    found = verify(report.folder, full=True, checkpoint=str(narrow_mixture))
    assert [check.detail for check in found.checks if not check.passed] == []
    assert any("against the checkpoint" in check.name for check in found.checks)


def test_it_answers_in_a_chat_and_goes_on_over_its_kv_cache(model: Model) -> None:
    chat = model.chat()
    first = chat.send("Hello", sampling=GREEDY, max_tokens=12)
    second = chat.send("And then?", sampling=GREEDY, max_tokens=12)
    assert first.answer or first.thought
    assert second.cached_tokens > 0


def test_genai_opens_it(report: ExportReport) -> None:
    pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", GENAI, str(report.folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 5 < int(done.stdout.split()[-1]) <= 16


@pytest.fixture(scope="module")
def many_experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 64 experts some are hardly ever chosen."""
    folder = tmp_path_factory.mktemp("many") / "checkpoint"
    narrow_checkpoint(folder, seed=3, **MIXTURE | {"num_experts": 64, "num_hidden_layers": 2})
    uneven_routers(folder)
    return folder


def test_an_expert_that_few_tokens_reach_has_no_inputs_to_calibrate_by(many_experts: Path) -> None:
    opened = open_checkpoint(many_experts)
    family = family_of(opened.config)
    shape = family.shape(opened.config)
    inputs = LayerInputs(opened, family, shape)
    tokens = inputs.of("model.layers.0.self_attn.q_proj.weight")
    assert tokens is not None
    names = [f"model.layers.0.mlp.experts.{expert}.down_proj.weight" for expert in range(64)]
    found = [inputs.of(name) for name in names]
    heard = [len(one) for one in found if one is not None]
    assert 0 < len(heard) < 64
    assert min(heard) >= FEWEST
    assert sum(heard) <= 4 * len(tokens)
    following = inputs.of("model.layers.1.mlp.experts.0.gate_proj.weight")
    assert following is None or following.shape[1] == 128
    with pytest.raises(KeyError):
        inputs.of(names[0])


def test_experts_that_were_rounded_plainly_are_counted_and_shown(report: ExportReport) -> None:
    roles = report.manifest.recipe.roles
    plainly = roles["experts"].rounded_plainly
    assert plainly is not None
    assert 0 < plainly < 4 * 16 * 3
    assert {name for name, role in roles.items() if role.rounded_plainly} == {"experts"}
    screen = io.StringIO()
    show_report(report, Console(file=screen, width=200))
    assert f"experts rounded plainly  {plainly} tensors" in screen.getvalue()
    assert f"Of experts, {plainly} tensors were rounded" in (report.folder / "README.md").read_text(encoding="utf-8")
