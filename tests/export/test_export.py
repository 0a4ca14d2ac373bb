"""An export from end to end: what it is asked, what it tells while it works, and what it shows in the end."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.export.trace.checkpoints import narrow_checkpoint
from tests.export.write.fake_artifact import fill

from thinkport.deploy.targets import target
from thinkport.export.errors import OutputError, RecipeError
from thinkport.export.exporter import ExportReport, export
from thinkport.export.progress import Listener
from thinkport.export.settings import ExportSettings
from thinkport.export.view import WORDS, ProgressView, show_recipes, show_report
from thinkport.export.write.weights_file import WeightsFile
from thinkport.runtime.artifact.manifest import Manifest, Reranking, check_files
from thinkport.runtime.cli import main
from thinkport.runtime.errors import InputError

SAMPLE = Path(__file__).parents[1] / "contract" / "manifest.json"
STAGES = ["open", "trace", "calibrate", "weigh", "fuse", "weights", "graph", "manifest"]


class Remembers(Listener):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.totals: dict[str, int | None] = {}
        self.done: dict[str, int] = {}
        self.seconds: dict[str, float] = {}

    def start(self, stage: str, total: int | None) -> None:
        self.told.append(("start", stage))
        self.totals[stage] = total
        self.done[stage] = 0

    def advance(self, done: int) -> None:
        self.done[self.told[-1][1]] += done

    def resize(self, total: int) -> None:
        self.totals[self.told[-1][1]] = total

    def stop(self, stage: str, seconds: float) -> None:
        self.told.append(("stop", stage))
        self.seconds[stage] = seconds


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return narrow_checkpoint(tmp_path_factory.mktemp("narrow") / "narrow")


@pytest.fixture(scope="module")
def exported_once(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportReport, Remembers]:
    listener = Remembers()
    output = tmp_path_factory.mktemp("out") / "artifact"
    settings = ExportSettings(checkpoint=str(checkpoint), output=output, certificate=False)
    return export(settings, listener), listener


def test_a_listener_hears_every_stage_in_order(exported_once: tuple[ExportReport, Remembers]) -> None:
    _, listener = exported_once
    assert listener.told == [(what, stage) for stage in STAGES for what in ("start", "stop")]
    assert set(STAGES) <= set(WORDS)


def test_the_bytes_told_are_those_of_the_weights(exported_once: tuple[ExportReport, Remembers]) -> None:
    report, listener = exported_once
    size = (report.folder / "weights.bin").stat().st_size
    assert listener.totals["weights"] == listener.done["weights"] == size
    for stage in ("calibrate", "weigh"):
        assert listener.totals[stage] == listener.done[stage]


@pytest.mark.parametrize(("asked", "expected"), [(None, 3), (2, 2)])
def test_by_default_each_core_that_this_process_may_use_quantizes(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int | None, expected: int
) -> None:
    made: list[int] = []

    def remembers(**options: Any) -> WeightsFile:
        made.append(options["workers"])
        return WeightsFile(**options)

    monkeypatch.setattr("thinkport.export.exporter.WeightsFile", remembers)
    monkeypatch.setattr("thinkport.export.exporter.physical_cores", lambda: 3)
    output = tmp_path / "artifact"
    export(ExportSettings(checkpoint=str(checkpoint), output=output, certificate=False, workers=asked))
    assert made == [expected]


def test_the_report_has_every_stages_seconds_and_a_plausible_peak(
    exported_once: tuple[ExportReport, Remembers],
) -> None:
    report, listener = exported_once
    assert list(report.seconds) == STAGES
    assert report.seconds == listener.seconds
    assert all(seconds >= 0 for seconds in report.seconds.values())
    assert 100e6 < report.peak_memory < 16e9  # this process has torch loaded, and runs other tests


def test_the_artifact_is_whole_and_named_after_checkpoint_and_recipe(
    exported_once: tuple[ExportReport, Remembers],
) -> None:
    report, _ = exported_once
    check_files(report.folder, report.manifest, verify=True)
    assert report.manifest.name == "narrow-accurate"
    assert report.manifest.source.revision is None
    assert report.manifest.source.dtype == "F32"


def test_the_table_has_all_that_was_promised(exported_once: tuple[ExportReport, Remembers]) -> None:
    report, _ = exported_once
    screen = io.StringIO()
    show_report(report, Console(file=screen, width=100))
    text = screen.getvalue()
    for row in ("artifact", "seconds", "peak memory", "size", "weights", "KV cache", "nodes", "against fp32"):
        assert row in text
    assert "6.50 bits a weight (accurate)" in text
    assert "int8, 0.3 KB a token" in text
    for graph in report.manifest.graphs:
        assert graph.file in text
        assert f"{graph.nodes} nodes in {graph.activations}" in text
    assert "not measured (--no-certificate)" in text
    assert text.endswith(f"\nIt was not held against the checkpoint. Next: thinkport chat {report.folder}\n")


@pytest.mark.parametrize(
    ("kl", "task", "said"),
    [
        (0.001, "chat", "It replies as the checkpoint does. Next: thinkport chat "),
        (0.1, "chat", "It replies much as the checkpoint does, and not the same. Next: thinkport chat "),
        (0.9, "chat", "Its replies are worse than the checkpoint's. Next: thinkport chat "),
        (0.001, "rerank", "its figures stand above. Next: thinkport rerank "),
    ],
)
def test_a_report_ends_with_what_its_verdict_means_and_the_next_command(
    exported_once: tuple[ExportReport, Remembers], kl: float, task: str, said: str
) -> None:
    sample = Manifest.model_validate_json(SAMPLE.read_bytes())
    assert sample.certificate is not None
    figures = [
        one.model_copy(update={"kl_mean": kl, "kl_low": kl, "kl_high": kl}) for one in sample.certificate.figures
    ]
    certificate = sample.certificate.model_copy(update={"figures": figures})
    reranking = Reranking(prefix="", body="{query}", suffix="", instruction="", yes_id=1, no_id=2)
    for_task = {"reranking": reranking} if task == "rerank" else {}
    manifest = exported_once[0].manifest.model_copy(update={"certificate": certificate, **for_task})
    screen = io.StringIO()
    show_report(
        replace(exported_once[0], manifest=manifest, folder=Path("with blank")), Console(file=screen, width=100)
    )
    assert said in screen.getvalue().splitlines()[-1]
    assert '"with blank"' in screen.getvalue().splitlines()[-1]


def test_on_a_pipe_progress_is_a_line_a_stage() -> None:
    screen = io.StringIO()
    with ProgressView(Console(file=screen, width=100)) as view:
        view.start("weights", 1000)
        view.advance(1000)
        view.stop("weights", 1.25)
        view.start("graph", None)
        view.stop("graph", 0.5)
    assert screen.getvalue() == "Writing the weights 1.2 s\nWriting the graph 0.5 s\n"


def test_the_recipes_are_listed_with_the_default_marked(capsys: pytest.CaptureFixture[str]) -> None:
    show_recipes()
    assert "accurate (default)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"precision": "fp32", "recipe": "fast"}, RecipeError, "recipe 'fast' with precision fp32"),
        ({"precision": "fp32", "bits": 5.0}, RecipeError, "bits 5.0 with precision fp32"),
        ({"recipe": "BALANCED"}, RecipeError, "no recipe is called 'BALANCED'; did you mean 'balanced'"),
        ({"recipe": "int4"}, RecipeError, "no recipe is called 'int4'; did you mean --precision int4"),
        ({"recipe": ""}, RecipeError, "no recipe is called ''"),
        ({"recipe": "balance"}, RecipeError, "no recipe is called 'balance'; did you mean 'balanced'"),
        ({"bits": 5.0, "size": 10**6}, RecipeError, "leave one of bits and size out"),
        ({"bits": float("nan")}, RecipeError, "bits is nan, expected a number such as 5"),
        ({"bits": float("inf")}, RecipeError, "bits is inf, expected a number such as 5"),
        ({"recipe": "int8", "bits": 5.0}, RecipeError, "stores all matrices alike.* take balanced or accurate"),
        ({"recipe": "fast", "size": 10**6}, RecipeError, "stores all matrices alike.* take balanced or accurate"),
        ({"targets": ("cpus",)}, InputError, "unknown target 'cpus'.*did you mean 'cpu'"),
        ({"precision": "int3"}, InputError, "unknown precision 'int3', expected one of: int4, int8, fp32"),
        (
            {"precision": "int4", "recipe": "int8"},
            RecipeError,
            "stores int8 weights, and precision is int4: leave one",
        ),
        ({"workers": 0}, InputError, "workers is 0, expected 1 or more"),
        ({"kv": "int4"}, InputError, "unknown kv 'int4', expected one of: fp32, fp16, int8"),
        (
            {"kv": "fp16", "targets": ("cpu",)},
            InputError,
            "cpu is not given a fp16 KV cache, .* expected one of: fp32, int8",
        ),
        ({"kv": "int8", "fuse": False}, InputError, "kv 'int8' in a graph that is not fused: .*leave out --kv"),
    ],
)
def test_settings_that_contradict_themselves_are_refused_when_made(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        ExportSettings(checkpoint="x", output=Path("y"), **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "int8"),
        ({"kv": "fp32"}, "float32"),
        ({"precision": "fp32"}, "float32"),
        ({"precision": "fp32", "kv": "int8"}, "int8"),
        ({"fuse": False}, "float32"),
        ({"fuse": False, "kv": "fp32"}, "float32"),
    ],
    ids=str,
)
def test_the_cache_is_the_targets_best_and_a_yardsticks_is_exact(options: dict[str, Any], expected: str) -> None:
    assert ExportSettings(checkpoint="x", output=Path("y"), **options).kv_dtype(target("cpu")) == expected


@pytest.mark.parametrize("options", [{"kv": "fp32", "targets": ("cpu",)}, {"precision": "fp32"}], ids=str)
def test_what_is_float32_throughout_is_not_calibrated(
    checkpoint: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    settings = ExportSettings(checkpoint=str(checkpoint), output=tmp_path / "out", certificate=False, **options)
    report = export(settings)
    assert "calibrate" not in report.seconds
    assert report.manifest.graphs[0].kv.dtype == "float32"


def test_an_int8_cache_is_in_the_manifest_the_graph_and_its_scales(
    exported_once: tuple[ExportReport, Remembers],
) -> None:
    report, _ = exported_once
    graph = report.manifest.graphs[0]
    assert (graph.kv.dtype, graph.kv.in_place, graph.onnxruntime_floor) == ("int8", True, "1.27")
    caches = [spec for spec in (*graph.inputs, *graph.outputs) if spec.name.endswith((".key", ".value"))]
    assert {spec.dtype for spec in caches} == {"int8"}
    assert len(caches) == 2 * 2 * 2
    fired = {record.name: record.fired for record in report.manifest.passes}
    assert fired["int8_cache"] == 2


def test_the_same_export_gives_the_same_scales(
    checkpoint: Path, exported_once: tuple[ExportReport, Remembers], tmp_path: Path
) -> None:
    report, _ = exported_once
    again = export(ExportSettings(checkpoint=str(checkpoint), output=tmp_path / "out", certificate=False))
    assert again.manifest.files["cpu.onnx"] == report.manifest.files["cpu.onnx"]


def test_an_output_that_exists_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    with pytest.raises(OutputError, match="exists: give --force"):
        export(ExportSettings(checkpoint="nothing/there", output=tmp_path))


def test_a_checkpoint_inside_of_the_output_is_never_replaced(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "artifact"
    inner = narrow_checkpoint(output / "checkpoint")
    fill(output, "old")
    with pytest.raises(OutputError, match="also holds checkpoint"):
        export(ExportSettings(checkpoint=str(inner), output=output, force=True))
    assert (inner / "model.safetensors").is_file()


def test_a_disk_without_room_is_refused_before_anything_is_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage())
    with pytest.raises(OutputError, match=r"needs 0\.07 GB and .* has 0\.00 GB free"):
        export(ExportSettings(checkpoint=str(checkpoint), output=tmp_path / "new" / "artifact", certificate=False))
    assert list(tmp_path.iterdir()) == []


class _Usage:
    free = 1 << 20


def test_the_command_refuses_contradictions_before_torch_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["export", "nothing/there", "-o", str(tmp_path / "out"), "--precision", "fp32", "--recipe", "fast"]
    monkeypatch.setattr(sys, "argv", ["thinkport", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("thinkport: recipe 'fast' with precision fp32")


def test_settings_are_checked_again_when_one_is_changed() -> None:
    settings = ExportSettings(checkpoint="x", output=Path("y"), precision="fp32")
    assert settings.quantization is None
    with pytest.raises(RecipeError):
        replace(settings, recipe="fast")
