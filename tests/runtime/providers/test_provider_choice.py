"""The choice of a provider: installed, present and right; every branch with made-up providers."""

import json
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from thinkport.runtime.artifact.block_hashes import ChangedBlockError
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.goldens import FORMAT
from thinkport.runtime.artifact.manifest import FileRecord, Graph, Manifest, Native, hash_file
from thinkport.runtime.errors import ArtifactError, InputError, ProviderWarning, UnavailableError
from thinkport.runtime.extras import install_line, installs_here
from thinkport.runtime.providers.devices import Device, graphics_devices
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import Candidate, OrtBuild, clash_of
from thinkport.runtime.providers.provider_choice import Machine, ProviderChoice
from thinkport.runtime.providers.provider_report import Outcome, ProviderReport
from thinkport.runtime.providers.verdicts import MOST_TRIALS, Verdict, Verdicts

SAMPLE = Path(__file__).resolve().parents[2] / "contract" / "manifest.json"
CPU, DML = "CPUExecutionProvider", "DmlExecutionProvider"
DIRECTML = OrtBuild(package="onnxruntime-directml", version="1.24.4", providers=(DML, CPU))
PLAIN = OrtBuild(package="onnxruntime", version="1.32.0", providers=("AzureExecutionProvider", CPU))
GPU = Device(name="Made-up GPU", driver="1.2")
VOCABULARY = 50


def graph(file: str, target: str, providers: list[str], floor: str = "1.24") -> Graph:
    changes = {"file": file, "target": target, "providers": providers, "onnxruntime_floor": floor}
    return Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8")).graphs[0].model_copy(update=changes)


GRAPHS = [
    graph("cpu.onnx", "cpu", [CPU], "1.27"),
    graph("cpu-float32-kv.onnx", "cpu", [CPU]),
    graph("dml.onnx", "dml", [DML, CPU]),
    graph("dml-plain.onnx", "dml", [DML, CPU]),
]


def write_goldens(path: Path) -> np.ndarray:
    """Goldens of a model that always says the same row of logits, which is returned."""
    logits = np.random.default_rng().normal(size=VOCABULARY).astype(np.float32) * 3
    logprobs = logits - np.log(np.exp(logits).sum())
    top = np.argsort(-logits)[:5]
    ids = np.arange(9, dtype=np.int64)
    tensors = {
        "sample_ids": ids,
        "00.ids": ids,
        "00.rows": np.array([3, 8]),
        "00.top_ids": np.stack([top, top]),
        "00.top_logprobs": np.stack([logprobs[top]] * 2),
        "00.sample_logits": np.stack([logits[ids]] * 2),
    }
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT}}
    blob = b""
    for name, value in tensors.items():
        raw = value.tobytes()
        kind = "F32" if value.dtype == np.float32 else "I64"
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + blob)
    return logits


class MadeUpSession:
    """A session whose every row of logits is `row`; a `fault` is raised by its steps."""

    several_tokens_over_past, ragged_batches, vocab_size, context_length, prefill_chunk = True, True, VOCABULARY, 99, 8

    def __init__(self, row, fault=None):
        self.row, self.fault = row, fault

    def open_lane(self, batch=1):
        return self

    def step(self, ids, lengths=None, keep=1):
        if self.fault:
            raise self.fault
        return np.tile(self.row, (1, keep, 1))


class Bench:
    """An artifact on a machine: what each graph does is told by `rows` (right if not) and `faults`."""

    def __init__(self, folder: Path, build: OrtBuild = DIRECTML, *, certified: bool = True):
        self.folder = folder
        self.right = write_goldens(folder / "goldens.safetensors")
        self.rows: dict[str, np.ndarray] = {}
        self.load_faults: dict[str, Exception] = {}
        self.step_faults: dict[str, BaseException] = {}
        self.opened: list[str] = []
        self.devices: list[int | None] = []
        sample = Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8"))
        certificate = Certificate(goldens="goldens.safetensors", figures=[]) if certified else None
        weights = folder / "weights.bin"
        weights.write_bytes(b"whole")
        files = {weights.name: FileRecord(bytes=5, sha256=hash_file(weights))}
        self.manifest = sample.model_copy(update={"graphs": GRAPHS, "certificate": certificate, "files": files})
        (folder / "thinkport.json").write_text("{}")
        self.verdicts = Verdicts(folder / "verdicts")
        self.machine = Machine(build=build, devices=[GPU], cpu="avx2", verdicts=self.verdicts)

    def open(self, one: Candidate) -> Any:
        file = one.graph.file
        self.opened.append(file)
        self.devices.append(one.device)
        if file in self.load_faults:
            raise self.load_faults[file]
        return MadeUpSession(self.rows.get(file, self.right), self.step_faults.get(file))

    @property
    def choice(self) -> ProviderChoice:
        return ProviderChoice(self.folder, self.manifest, self.machine, self.open)

    def outcomes(self, provider: str = "auto") -> dict[str, Outcome]:
        return {one.graph: one.outcome for one in self.report(provider).attempts}

    def report(self, provider: str = "auto") -> ProviderReport:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ProviderWarning)
            return self.choice.choose(GRAPHS, provider).report

    def makes_wrong(self, *files: str) -> None:
        for file in files:
            self.rows[file] = -self.right


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_accelerator_is_checked_on_its_first_use_and_remembered(bench: Bench) -> None:
    assert bench.outcomes() == {
        "dml.onnx": Outcome.CHECKED,
        "dml-plain.onnx": Outcome.UNNEEDED,
        "cpu-float32-kv.onnx": Outcome.UNNEEDED,
        "cpu.onnx": Outcome.IMPOSSIBLE,
    }
    assert bench.outcomes()["dml.onnx"] is Outcome.REMEMBERED
    assert bench.opened == ["dml.onnx"] * 2


def test_wrong_logits_make_room_for_the_next_variant_with_a_warning(bench: Bench) -> None:
    bench.makes_wrong("dml.onnx")
    with pytest.warns(
        ProviderWarning, match=r"^dml-plain.onnx on Dml: agrees.* Passed over dml.onnx on Dml: its logits"
    ):
        assert bench.choice.choose(GRAPHS, "auto").candidate.graph.file == "dml-plain.onnx"
    bench.opened.clear()
    report = bench.report()
    assert report.chosen
    assert report.chosen.outcome is Outcome.REMEMBERED
    assert bench.opened == ["dml-plain.onnx"]
    assert "found before" in report.passed_over[0].reason


def test_where_every_variant_is_wrong_the_cpu_runs(bench: Bench) -> None:
    bench.makes_wrong("dml.onnx", "dml-plain.onnx")
    assert bench.outcomes() == {
        "dml.onnx": Outcome.WRONG,
        "dml-plain.onnx": Outcome.WRONG,
        "cpu-float32-kv.onnx": Outcome.CHECKED,
        "cpu.onnx": Outcome.IMPOSSIBLE,
    }


def test_a_provider_that_cannot_start_is_passed_over_and_tried_again_next_time(bench: Bench) -> None:
    bench.load_faults = {"dml.onnx": ArtifactError("no device"), "dml-plain.onnx": ArtifactError("no device")}
    assert bench.outcomes()["cpu-float32-kv.onnx"] is Outcome.CHECKED
    bench.load_faults = {}
    assert bench.outcomes()["dml.onnx"] is Outcome.CHECKED


def test_weights_of_which_a_block_was_changed_are_run_by_no_other_graph(bench: Bench) -> None:
    bench.load_faults = {"dml.onnx": ChangedBlockError("weights.bin is not what was exported")}
    for _ in range(2):
        with pytest.raises(ArtifactError, match="not what was exported"):
            bench.outcomes()
    assert bench.opened == ["dml.onnx"] * 2


def test_a_graph_that_fails_in_a_step_is_tried_so_often_and_then_left_alone(bench: Bench) -> None:
    bench.step_faults = {"dml.onnx": ArtifactError("device removed")}
    for _ in range(MOST_TRIALS):
        assert bench.outcomes()["dml.onnx"] is Outcome.FAILED
    bench.opened.clear()
    assert "device removed, 2 times" in bench.report().passed_over[0].reason
    assert bench.opened == ["dml-plain.onnx"]


def test_a_device_that_is_lost_in_its_check_is_passed_over(bench: Bench) -> None:
    bench.step_faults = {"dml.onnx": UnavailableError("the device was lost")}
    outcomes = bench.outcomes()
    assert (outcomes["dml.onnx"], outcomes["dml-plain.onnx"]) == (Outcome.FAILED, Outcome.CHECKED)


@pytest.mark.parametrize(("asked", "other"), [("dml", "dml:1"), ("dml:0", "dml:1"), ("dml:1", "dml:0")])
def test_a_device_that_fails_in_a_step_has_another_cure_than_a_missing_one(
    bench: Bench, asked: str, other: str
) -> None:
    fault = ArtifactError("887A0005: device removed")
    bench.step_faults = {"dml.onnx": fault, "dml-plain.onnx": fault}
    for _ in range(MOST_TRIALS + 1):  # what is remembered of it too
        with pytest.raises(InputError, match=rf"887A0005.*Update the device's driver.*another device \({other}\)"):
            bench.choice.choose(GRAPHS, asked)
    bench.step_faults, bench.load_faults = {}, {"cuda.onnx": fault, "dml.onnx": fault, "dml-plain.onnx": fault}
    with pytest.raises(InputError, match="Update the device's driver"):
        bench.choice.choose(GRAPHS, asked)


class MadeUpKernels:
    """Kernels that are installed and run."""

    obstacle, useless, name = None, False, "made-up"


@pytest.mark.parametrize("fault", ["wrong", "broken"])
def test_a_native_graph_that_is_asked_for_and_cannot_be_used_has_a_cure_of_its_own(bench: Bench, fault: str) -> None:
    graphs = [
        GRAPHS[0].model_copy(update={"native": Native(graph=graph("cpu-native.onnx", "cpu", [CPU]), operators=1)})
    ]
    bench.manifest = bench.manifest.model_copy(update={"graphs": graphs})
    bench.machine = replace(bench.machine, kernels=cast("Kernels", MadeUpKernels()))
    if fault == "wrong":
        bench.makes_wrong("cpu-native.onnx")
    else:
        bench.load_faults["cpu-native.onnx"] = ArtifactError("it is broken")
    for _ in range(2):  # and where it was found before
        with pytest.raises(InputError, match=r"cpu-native.*Install thinkport-kernels again, or leave the provider out"):
            bench.choice.choose(graphs, "cpu-native")
    bench.makes_wrong("cpu.onnx")
    with pytest.raises(InputError, match=r"cpu-native.*cpu\.onnx.*(Upgrade the installed build|Install)"):
        bench.choice.choose(graphs, "cpu")


def test_a_check_that_ends_the_process_is_known_of_at_the_next_start(bench: Bench) -> None:
    key = bench.choice.key(Candidate(graph=GRAPHS[2]))
    bench.verdicts.write(key, Verdict(trials=MOST_TRIALS))
    assert "the check ended the process" in bench.report().passed_over[0].reason


def test_what_a_killed_writer_left_of_a_verdict_is_deleted(bench: Bench) -> None:
    left, fresh = (bench.verdicts.folder / name for name in ("0123.4567.half", "89ab.cdef.half"))
    bench.verdicts.folder.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    fresh.touch()  # another process may be writing it
    key = bench.choice.key(Candidate(graph=GRAPHS[2]))
    bench.verdicts.write(key, Verdict(trials=1))
    assert {path.name for path in bench.verdicts.folder.iterdir()} == {key.name, fresh.name}


def test_a_user_who_stops_a_check_leaves_no_verdict(bench: Bench) -> None:
    bench.step_faults = {"dml.onnx": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        bench.report()
    assert bench.verdicts.read(bench.choice.key(Candidate(graph=GRAPHS[2]))) == Verdict()


def test_another_driver_or_build_is_checked_anew(bench: Bench) -> None:
    bench.report()
    other = Device(name=GPU.name, driver="1.3")
    bench.machine = Machine(build=DIRECTML, devices=[other], cpu="avx2", verdicts=bench.verdicts)
    assert bench.outcomes()["dml.onnx"] is Outcome.CHECKED


def test_an_explicit_provider_stays_with_its_variants_and_says_why_it_cannot_be_had(bench: Bench) -> None:
    bench.makes_wrong("dml.onnx")
    assert set(bench.outcomes("dml")) == {"dml.onnx", "dml-plain.onnx"}
    bench.makes_wrong("dml-plain.onnx")
    bench.machine = Machine(build=DIRECTML, devices=[], cpu="avx2", verdicts=bench.verdicts)
    with pytest.raises(InputError, match=r"dml-plain.onnx on Dml: its logits.*Update the device's driver") as caught:
        bench.choice.choose(GRAPHS, "dml")
    assert "install" not in str(caught.value)  # what is there and wrong can't be installed


def test_an_explicit_provider_that_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    says = install_line("dml") if installs_here("dml") else "is for this system: leave the provider out"
    with pytest.raises(InputError, match=f"needs DmlExecutionProvider.*{re.escape(says)}"):
        Bench(tmp_path, PLAIN).choice.choose(GRAPHS, "dml")


def test_the_cpu_too_is_checked_once_without_a_warning_and_the_rest_is_reported(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PLAIN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = bench.choice.choose(GRAPHS, "auto").report
    assert report.chosen
    assert (report.chosen.graph, report.chosen.outcome) == ("cpu.onnx", Outcome.CHECKED)
    assert report.as_json()["attempts"][2]["reason"] == "needs DmlExecutionProvider"
    assert bench.outcomes()["cpu.onnx"] is Outcome.REMEMBERED
    bench.machine = replace(bench.machine, devices=[])
    assert bench.outcomes()["cpu.onnx"] is Outcome.REMEMBERED  # a graphics card says nothing about the CPU
    bench.machine = replace(bench.machine, cpu="avx512")
    assert bench.outcomes()["cpu.onnx"] is Outcome.CHECKED


@pytest.mark.parametrize("how", ["wrong", "failing"])
def test_a_damaged_file_is_named_and_no_machine_blamed_for_it(tmp_path: Path, how: str) -> None:
    bench = Bench(tmp_path, PLAIN)
    if how == "wrong":
        bench.makes_wrong("cpu.onnx")
    else:
        bench.step_faults["cpu.onnx"] = ArtifactError("a node failed")
    (tmp_path / "weights.bin").write_bytes(b"whale")
    for _ in range(MOST_TRIALS + 1):
        with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256.*copy it again"):
            bench.report()
    (tmp_path / "weights.bin").write_bytes(b"whole")
    bench.rows.clear()
    bench.step_faults.clear()
    assert bench.outcomes()["cpu.onnx"] is Outcome.CHECKED


def test_a_cpu_that_computes_something_else_takes_the_next_graph_with_a_warning(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PLAIN)
    bench.makes_wrong("cpu.onnx")
    with pytest.warns(ProviderWarning, match="Passed over cpu.onnx on CPU: its logits"):
        assert bench.choice.choose(GRAPHS, "auto").candidate.graph.file == "cpu-float32-kv.onnx"


def test_a_verdict_that_the_cpu_is_wrong_counts_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PLAIN)
    bench.verdicts.write(bench.choice.key(Candidate(graph=GRAPHS[0])), Verdict().begun().ended("its logits are off"))
    assert bench.report().chosen.graph == "cpu-float32-kv.onnx"  # type: ignore[union-attr]


def test_an_accelerator_without_goldens_is_used_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(ProviderWarning, match="not checked"):
        Bench(tmp_path, certified=False).choice.choose(GRAPHS, "auto")


def test_a_device_is_chosen_by_its_number_and_has_verdicts_of_its_own(bench: Bench) -> None:
    for name in ("dml", "dml:1", f"{DML}:1", "dml-plain:0"):
        bench.report(name)
    assert bench.devices == [None, 1, 1, 0]
    assert bench.opened == ["dml.onnx"] * 3 + ["dml-plain.onnx"]
    first, second, again = (bench.report(name).chosen for name in ("dml", "dml:2", "dml:1"))
    assert first
    assert second
    assert again
    assert (first.outcome, first.device) == (Outcome.REMEMBERED, None)
    assert (second.outcome, second.device) == (Outcome.CHECKED, 2)
    assert (again.outcome, str(again).partition(":")[0]) == (Outcome.REMEMBERED, "dml.onnx on Dml 1")
    assert bench.report("dml:1").as_json()["chosen"]["device"] == 1


def test_the_first_device_is_the_one_without_a_number(bench: Bench) -> None:
    assert bench.report("dml").chosen.outcome is Outcome.CHECKED  # type: ignore[union-attr]
    assert bench.report("dml:0").chosen.outcome is Outcome.REMEMBERED  # type: ignore[union-attr]


def test_a_device_that_is_wrong_or_missing_is_told_with_its_own_cure(bench: Bench) -> None:
    bench.makes_wrong("dml.onnx")
    assert "`thinkport doctor ARTIFACT --provider dml:1`" in [bench.report("dml:1") for _ in "12"][1].reason
    bench.load_faults = {file: ArtifactError("no such adapter") for file in ("dml.onnx", "dml-plain.onnx")}
    with pytest.raises(InputError, match=r"Is there a device 7\? Give another number"):
        bench.report("dml:7")


@pytest.mark.parametrize(
    ("provider", "says"),
    [
        ("dml:", "ends with '', expected the number of a device, as in dml:1"),
        ("dml:gpu", "ends with 'gpu', expected the number of a device"),
        ("dml:-1", "ends with '-1', expected the number of a device"),
        ("dml:1111", "expected the number of a device"),
        ("AUTO:1", "AUTO has none to choose from"),
        ("dml:²", "ends with '²', expected the number of a device"),
        ("cpu:0", "cpu has none to choose from: leave :0 out"),
        ("auto:1", "auto has none to choose from: leave :1 out"),
        ("nothing:1", "no graph for provider 'nothing:1'"),
    ],
)
def test_a_device_that_cannot_be_meant_is_refused(bench: Bench, provider: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        bench.report(provider)


def test_nothing_that_runs_is_an_error_that_lists_every_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.load_faults = {one.file: ArtifactError(f"{one.file} is broken") for one in GRAPHS}
    with pytest.raises(ArtifactError, match=r"dml.onnx is broken.*cpu-float32-kv.onnx is broken"):
        bench.choice.choose(GRAPHS, "auto")


def test_where_the_folder_can_t_be_written_the_cpu_is_not_checked_at_each_start_and_devices_are(tmp_path: Path) -> None:
    (tmp_path / "verdicts").write_text("a file where the folder should be")
    assert Bench(tmp_path, PLAIN).outcomes()["cpu.onnx"] is Outcome.UNCHECKED
    for _ in range(2):
        assert Bench(tmp_path).outcomes()["dml.onnx"] is Outcome.CHECKED


def test_a_damaged_verdict_counts_as_none(bench: Bench) -> None:
    bench.report()
    (file,) = (bench.folder / "verdicts").iterdir()
    file.write_text("{")
    assert bench.outcomes()["dml.onnx"] is Outcome.CHECKED


def test_builds_over_one_another_are_named() -> None:
    assert clash_of({"onnxruntime": "1.32.0"}) == ""
    told = clash_of({"onnxruntime": "1.32.0", "onnxruntime-directml": "1.24.4"})
    assert told.endswith("pip uninstall -y onnxruntime onnxruntime-directml")


def test_nvidia_devices_are_read_from_the_driver(tmp_path: Path) -> None:
    assert graphics_devices(tmp_path) == []
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27\n")
    (tmp_path / "gpus" / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 1\n")
    assert graphics_devices(tmp_path) == [Device(name="NVIDIA H100", driver="580.65.06")]
