"""The doctor on made-up machines, and on this one with the reference artifact."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from thinkport.deploy.doctor.examination import Examination, Trial, examine, timed_forms
from thinkport.deploy.doctor.findings import Severity, artifact_findings
from thinkport.deploy.doctor.machine_facts import MachineFacts, machine_facts
from thinkport.deploy.doctor.view import show
from thinkport.deploy.hardware import Hardware, this_hardware
from thinkport.runtime.artifact.manifest import Manifest, Native
from thinkport.runtime.cli.main import main
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import install_line
from thinkport.runtime.providers.devices import Device
from thinkport.runtime.providers.ort import Candidate, OrtBuild
from thinkport.runtime.providers.plugins import DeviceFacts, PluginFacts
from thinkport.runtime.providers.provider_report import Attempt, Outcome
from thinkport.runtime.providers.trial_record import TrialOutcome, TrialRecord, TrialResult
from thinkport.runtime.providers.verdicts import Verdicts

CPU = "CPUExecutionProvider"
HARDWARE = Hardware(processor="A CPU", cores=4, features=("avx2",), memory=16 << 30, memory_free=8 << 30)
FACTS = MachineFacts(
    python="CPython 3.13.1 at python",
    platform="Windows-11",
    packages={"thinkport": "0.1.0"},
    build=OrtBuild(package="onnxruntime", version="1.32.0", providers=(CPU,)),
    import_error="",
    builds={"onnxruntime": "1.32.0"},
    missing="",
    devices=(),
    hardware=HARDWARE,
)


def codes(facts: MachineFacts) -> dict[str, Severity]:
    return {finding.code: finding.severity for finding in examine(None, facts).findings}


def drawn(found: Examination, width: int) -> str:
    text = io.StringIO()
    show(Console(file=text, width=width, color_system=None, markup=False), found)
    return text.getvalue()


def test_a_machine_in_order_has_no_finding_and_ends_in_0() -> None:
    found = examine(None, FACTS)
    assert (found.findings, found.exit_code) == ((), 0)
    assert "nothing to do" in drawn(found, 80)


@pytest.mark.parametrize(
    ("changes", "code", "severity", "ends"),
    [
        ({"builds": {"onnxruntime": "1.32.0", "onnxruntime-directml": "1.24.4"}}, "clashing-builds", "error", 2),
        ({"build": None, "import_error": "none is installed"}, "no-onnxruntime", "error", 2),
        ({"missing": "Failed to load libcublas.so.13"}, "missing-libraries", "warning", 1),
        ({"devices": (Device(name="GPU", driver="1"),)}, "unused-device", "note", 0),
        ({"hardware": replace(HARDWARE, memory_free=100 << 20)}, "little-memory", "warning", 1),
    ],
)
def test_each_thing_that_is_wrong_with_a_machine_is_a_finding_with_what_to_do(changes, code, severity, ends) -> None:
    found = examine(None, replace(FACTS, **changes))
    assert codes(replace(FACTS, **changes)) == {code: severity}
    assert found.exit_code == ends
    assert all(finding.todo for finding in found.findings)


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({"builds": {"onnxruntime": "1.26.3"}}, Severity.WARNING),
        ({"builds": {"onnxruntime": "1.27.0"}}, None),
        ({"builds": {"onnxruntime-directml": "1.24.4"}}, Severity.NOTE),
        ({"packages": {"onnxruntime-genai-directml": "0.14.1"}}, Severity.WARNING),
        ({"packages": {"onnxruntime-genai-winml": "0.18.0"}}, Severity.NOTE),
        ({"packages": {"onnxruntime-genai-winml": "0.17.0"}}, None),
    ],
)
def test_a_version_that_is_known_to_go_wrong_is_a_finding(changes, severity) -> None:
    assert codes(replace(FACTS, **changes)).get("known-bad") == severity


def test_memory_is_what_the_system_tells_on_every_system() -> None:
    own = this_hardware()
    assert 0 < own.memory_free < own.memory


def test_a_graph_that_ran_and_failed_has_another_cure_than_one_that_did_not_start() -> None:
    failed = {"graph": "dml.onnx", "provider": "DmlExecutionProvider", "outcome": Outcome.FAILED, "reason": "887A0005"}
    attempts = [Attempt(**failed | more) for more in ({}, {"seconds": 0.1}, {"device": 7})]
    found = artifact_findings(attempts)
    cures = [finding.todo or "" for finding in found if finding.code == "graph-failed"]
    assert ["install the driver" in cure for cure in cures] == [True, False, False]
    assert "update the device's driver" in cures[1]
    assert "is there a device 7?" in cures[2]


@pytest.mark.parametrize(("obstacle", "ran"), [(None, "cpu-native.onnx"), ("needs thinkport-kernels", "cpu.onnx")])
def test_a_trial_is_of_a_graphs_native_form_where_that_can_run(
    manifest: Manifest, obstacle: str | None, ran: str
) -> None:
    native = manifest.graphs[0].model_copy(update={"file": "cpu-native.onnx", "native": None})
    graph = manifest.graphs[0].model_copy(update={"file": "cpu.onnx", "native": Native(graph=native, operators=1)})
    found = [Candidate(graph=native, obstacle=obstacle), Candidate(graph=graph)]
    tried = TrialResult(graph="cpu.onnx", provider=CPU, outcome=TrialOutcome.RIGHT, reason="", prefill=9.0, decode=5.0)
    timed = timed_forms([graph], found, TrialRecord(results=(tried,)))
    assert timed == {ran: tried}
    attempts = [Attempt(graph=one.graph.file, provider=CPU, outcome=Outcome.CHECKED, reason="") for one in found]
    trials = tuple(Trial(attempt=one, timed=timed.get(one.graph)) for one in attempts)
    runs = replace(examine(None, FACTS), artifact="somewhere", trials=trials).runs
    assert runs is not None
    assert runs.graph == ran


def test_the_view_tells_what_the_check_adds_to_a_first_load() -> None:
    attempt = Attempt(graph="cpu.onnx", provider=CPU, outcome=Outcome.CHECKED, reason="agrees", seconds=0.42)
    text = drawn(replace(examine(None, FACTS), artifact="somewhere", trials=(Trial(attempt=attempt),)), 80)
    assert "a first load checks it in 0.4 s" in " ".join(text.split())


def test_clashing_builds_are_undone_by_removing_both_and_installing_one() -> None:
    (finding,) = examine(None, replace(FACTS, builds={"onnxruntime": "1", "onnxruntime-directml": "2"})).findings
    assert finding.todo == (
        f"pip uninstall -y onnxruntime onnxruntime-directml, then install one: {install_line('dml')}"
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_view_fits_the_width_and_cuts_nothing(width: int) -> None:
    trial = Trial(
        attempt=Attempt(graph="dml.onnx", provider="DmlExecutionProvider", outcome=Outcome.WRONG, reason="its " * 40),
        nodes={"DmlExecutionProvider": 400, CPU: 3},
    )
    text = drawn(replace(examine(None, FACTS), artifact="somewhere", trials=(trial,)), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "400 on Dml, 3 on CPU" in " ".join(text.split())
    assert "A load takes nothing" in text


def test_the_reference_artifact_is_right_on_this_machine(nano_artifact: Path, tmp_path: Path) -> None:
    found = examine(nano_artifact, machine_facts(), Verdicts(tmp_path))
    assert found.runs is not None
    assert found.runs.graph in ("cpu.onnx", "cpu-native.onnx")
    assert found.runs.outcome is Outcome.CHECKED
    (standard,) = (trial for trial in found.trials if trial.attempt.graph == "cpu.onnx")
    assert standard.nodes.keys() == {CPU}
    assert found.files is not None
    first, later = found.files
    assert (first.hashed, later.hashed) == (first.bytes, 0)
    assert "later start compares them in 0." in " ".join(drawn(found, 80).split())
    assert not {"wrong-logits", "graph-failed", "nothing-runs"} & {finding.code for finding in found.findings}
    assert list(tmp_path.iterdir())  # what was found is remembered for the next load


def test_the_command_writes_one_json_object_and_ends_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thinkport", "doctor", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = json.loads(capsys.readouterr().out)
    assert told["facts"]["build"]["version"]
    assert told["exit_code"] == int(ended.value.code or 0)


def test_a_named_provider_is_tried_alone(nano_artifact: Path, tmp_path: Path) -> None:
    found = examine(nano_artifact, verdicts=Verdicts(tmp_path), provider="cpu-float32-kv")
    assert [trial.attempt.graph for trial in found.trials] == ["cpu-float32-kv.onnx"]
    assert found.runs
    assert found.runs.outcome is Outcome.CHECKED


@pytest.mark.parametrize("provider", ["cpu:1", "tpu", "dml:one"])
def test_a_provider_that_cannot_be_meant_is_a_wrong_request(nano_artifact: Path, tmp_path: Path, provider: str) -> None:
    with pytest.raises(InputError, match=provider.partition(":")[0]):
        examine(nano_artifact, FACTS, Verdicts(tmp_path), provider=provider)


def test_a_provider_without_an_artifact_is_a_wrong_request() -> None:
    with pytest.raises(InputError, match="names graphs of an artifact"):
        examine(None, FACTS, provider="dml")


CARD = DeviceFacts(number=0, name="A card", vendor="Maker", driver="31.0", software=False, float16=False, needs=None)
PLUGIN = PluginFacts(
    provider="WebGpuExecutionProvider", distribution="plugin", version="0.4.0", needs=None, loaded=True, devices=(CARD,)
)
SAME_CARD = (Device(name="A card", driver="31.0"),)


def test_a_plugin_is_shown_with_its_devices_and_what_they_can_do() -> None:
    found = examine(None, replace(FACTS, plugins=(PLUGIN,), devices=SAME_CARD))
    assert found.findings == ()  # the plugin uses the card
    text = " ".join(drawn(found, 120).split())
    assert "WebGpu plugin plugin 0.4.0: 0 A card (Maker, driver 31.0), no shader-f16: float32 graphs only" in text
    json.dumps(found.as_json())


@pytest.mark.parametrize(
    ("plugin", "devices", "expected"),
    [
        ({"version": None, "needs": "needs plugin, which is not installed: pip install it", "loaded": False}, (), {}),
        (
            {"needs": "can't use plugin 0.4.0 with onnxruntime 9: an untested pair: pip install", "loaded": False},
            (),
            {"plugin-unusable": Severity.WARNING},
        ),
        ({"needs": "finds no device: install the driver"}, (), {"plugin-unusable": Severity.NOTE}),
        (
            {"needs": "finds no device: install the driver"},
            SAME_CARD,
            {"plugin-unusable": Severity.WARNING, "unused-device": Severity.NOTE},
        ),
    ],
)
def test_a_plugin_that_can_t_be_used_is_a_finding_where_it_is_installed(plugin, devices, expected) -> None:
    facts = replace(FACTS, plugins=(replace(PLUGIN, **{"devices": ()} | plugin),), devices=devices)
    assert codes(facts) == expected
    assert all(finding.todo for finding in examine(None, facts).findings)


def test_a_device_that_can_t_start_is_a_finding() -> None:
    broken = replace(CARD, needs="can't start on A card: No supported adapters: install or update the driver")
    facts = replace(FACTS, plugins=(replace(PLUGIN, devices=(broken,)),), devices=SAME_CARD)
    assert codes(facts) == {"plugin-unusable": Severity.WARNING, "unused-device": Severity.NOTE}
