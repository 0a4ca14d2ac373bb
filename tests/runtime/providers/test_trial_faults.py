"""Trials where something goes wrong around them: full disks, damaged records, processes that don't start."""

import json
import os
import subprocess
import sys
from _thread import interrupt_main
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from tests.runtime.providers.test_provider_choice import CPU, DML, GRAPHS, PLAIN
from tests.runtime.providers.test_trials import Trialled, of

from thinkport.runtime.machine.user_cache import write_whole
from thinkport.runtime.model import Model
from thinkport.runtime.providers.drivers import graphics_drivers
from thinkport.runtime.providers.program import TRIAL_VERB, begin, program
from thinkport.runtime.providers.provider_choice import ProviderChoice
from thinkport.runtime.providers.provider_report import Outcome
from thinkport.runtime.providers.trial_record import STARTING, TrialOutcome, TrialRecords, TrialResult
from thinkport.runtime.providers.trials import Trials, run_in_child


@pytest.fixture
def bench(tmp_path: Path) -> Trialled:
    return Trialled(tmp_path)


def the_cpu_answers(bench: Trialled) -> str:
    """What is said of the card, once the CPU's graph was loaded in spite of it."""
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "cpu.onnx"
    return of(report, "dml.onnx")[1]


class Altered(Trialled):
    """A bench whose trials are `altered` by a test."""

    def __init__(self, folder: Path, **altered: Any):
        super().__init__(folder)
        self.altered = altered

    @property
    def trials(self) -> Trials:
        return replace(super().trials, **self.altered)


def test_where_no_process_starts_the_cpu_answers_and_the_reason_is_said(tmp_path: Path) -> None:
    def no_process(command: Sequence[str]) -> Any:
        raise FileNotFoundError(2, "No such file or directory", command[0])

    assert "no process can be started" in the_cpu_answers(Altered(tmp_path, begin=no_process))


class FullDisk(TrialRecords):
    """A folder on a disk without room: what is written never appears."""

    def write(self, key: Any, known: Any) -> None:
        pass


class NoLocks(TrialRecords):
    """A folder on a file system that has no locks."""

    def try_lock(self, key: Any) -> Any:
        raise OSError(37, "No locks available")


@pytest.mark.parametrize(("kind", "why"), [(FullDisk, "can't be written"), (NoLocks, "No locks available")])
def test_trials_that_could_not_be_remembered_are_not_begun_at_every_load(
    tmp_path: Path, kind: type[TrialRecords], why: str
) -> None:
    bench = Altered(tmp_path, records=kind(tmp_path / "trials"))
    assert why in the_cpu_answers(bench)
    assert not bench.begun


def test_a_doctor_tries_graphs_where_nothing_can_be_remembered(tmp_path: Path) -> None:
    bench = Altered(tmp_path, records=NoLocks(tmp_path / "trials"))
    bench.run(cpu=(100, 10), dml=(800, 40))
    assert bench.tried == ["cpu.onnx", "dml.onnx"]


def test_memory_that_would_not_hold_the_weights_twice_is_left_alone(tmp_path: Path) -> None:
    bench = Altered(tmp_path, free_memory=lambda: 7)  # bytes, and the weights are 5
    assert "memory" in the_cpu_answers(bench)
    assert not bench.begun
    bench.altered = {}
    assert of(bench.report(), "dml.onnx")[0] is Outcome.TRYING  # another load may have room


def test_loads_that_come_at_once_begin_trials_once(bench: Trialled) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: bench.trials.start(), range(8))) == [None] * 8
    assert bench.trials.record.starts == 1
    bench.begun.clear()
    assert of(bench.report(), "dml.onnx")[0] is Outcome.TRYING  # its process is starting
    assert not bench.begun
    bench.today += STARTING
    bench.report()
    assert len(bench.begun) == 1
    bench.today -= 365 * 24 * 3600  # someone set the clock
    assert "begun 2 times" in of(bench.report(), "dml.onnx")[1]


RIGHT = {"graph": "dml.onnx", "provider": DML, "outcome": "right", "reason": "r", "prefill": 1.0, "decode": 2.0}
DAMAGED = [
    "",
    "[" * 100_000,
    "[]",
    '{"record": null}',
    '{"record": "none"}',
    '{"record": {"results": null}}',
    '{"record": {"results": [], "whole": false, "starts": "many"}}',
    '{"record": {"results": [], "whole": "perhaps", "starts": 0}}',
    json.dumps({"record": {"results": [RIGHT | {"prefill": "fast"}], "whole": True, "starts": 1}}),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_is_as_good_as_none(bench: Trialled, text: str) -> None:
    trials = bench.trials
    write_whole(trials.records.folder / trials.key.name, text)
    the_cpu_answers(bench)
    assert len(bench.begun) == 1
    bench.run(cpu=(100, 10), dml=(800, 40))
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "dml.onnx"


@pytest.mark.parametrize(
    "text", ['{"verdict": 7}', '{"verdict": {"trials": "x"}}', '{"verdict": {"widest": "31 tokens"}}']
)
def test_a_damaged_verdict_is_as_good_as_none(bench: Trialled, text: str) -> None:
    choice = bench.choice
    bench.outcomes("dml")
    (file,) = bench.verdicts.folder.glob("*.json")
    file.write_text(text)
    assert choice.choose(GRAPHS, "dml").report.chosen is not None


def test_a_speed_is_said_of_the_graph_that_has_it_only(bench: Trialled) -> None:
    bench.run(cpu=(100, 10), dml=(800, 40))
    choice = bench.choice  # and then the card is gone, or whatever else keeps its provider from being there
    choice._machine = replace(bench.machine, build=PLAIN)
    report = choice.choose(GRAPHS, "auto").report
    assert report.chosen
    assert report.chosen.graph == "cpu.onnx"
    assert of(report, "dml.onnx")[0] is Outcome.IMPOSSIBLE
    assert "times as long" not in report.reason


def test_the_cpu_is_timed_again_where_its_trial_was_cut_off(bench: Trialled) -> None:
    """Else a card that is slower would win against a CPU without figures."""

    def shut_down(file: str, left: float) -> TrialResult:
        raise SystemExit

    with pytest.raises(SystemExit):
        bench.trials.run(shut_down)
    bench.run(cpu=(300, 30), dml=(90, 7.5))
    assert bench.tried == ["cpu.onnx", "dml.onnx"]
    assert bench.report().chosen
    assert bench.opened == ["cpu.onnx"]


def test_a_card_that_is_too_small_for_one_artifact_is_tried_for_the_next(bench: Trialled) -> None:
    bench.run(cpu=(9, 9), dml=TrialOutcome.IMPOSSIBLE, dml_plain=TrialOutcome.IMPOSSIBLE)
    (bench.folder / "thinkport.json").write_text("another artifact")
    assert len(bench.trials.worth(GRAPHS)) == 3


def test_what_is_measured_waits_for_trials(bench: Trialled) -> None:
    def speed(file: str, left: float) -> TrialResult:
        bench.tried.append(file)
        provider = CPU if file == "cpu.onnx" else DML
        right = TrialOutcome.RIGHT
        return TrialResult(graph=file, provider=provider, outcome=right, reason="", prefill=9, decode=9)

    lock = bench.trials.records.try_lock(bench.trials.key)  # another process runs them
    assert lock
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            lock.close()

    assert bench.trials.finish(speed, wait).whole
    assert len(waited) == 3
    assert bench.tried == ["cpu.onnx", "dml.onnx"]
    assert bench.trials.finish(speed).whole
    assert len(bench.tried) == 2


def test_what_is_measured_waits_for_nothing_where_a_load_tries_nothing(tmp_path: Path) -> None:
    bench = Altered(tmp_path, command=None)
    bench.trials.finish(lambda *_: pytest.fail("it tries"))
    bench = Altered(tmp_path)
    bench.manifest = bench.manifest.model_copy(update={"certificate": None})
    bench.trials.finish(lambda *_: pytest.fail("it tries"))


@pytest.fixture
def child(tmp_path: Path) -> Callable[[str], TrialResult]:
    """Runs a program in place of a trial, within five seconds."""
    bench = Trialled(tmp_path)

    def run(source: str) -> TrialResult:
        return run_in_child([sys.executable, "-c", source], bench.folder, bench.manifest)("dml.onnx", 5)

    return run


def test_a_driver_that_writes_what_is_no_text_is_survived(child: Callable[[str], TrialResult]) -> None:
    result = child("import os; os.write(2, b'\\xff\\xfe' + 'fault'.encode('utf-16-le')); os.abort()")
    assert result.outcome is TrialOutcome.ENDED
    assert "fault" in result.reason


def test_a_driver_that_says_goodbye_is_survived(child: Callable[[str], TrialResult]) -> None:
    assert child(f"print({json.dumps(RIGHT)!r}); print('driver unloaded')").outcome is TrialOutcome.RIGHT


@pytest.mark.parametrize("said", ["", "hello", "[]", '{"graph": "dml.onnx"}'])
def test_a_trial_that_tells_no_result_is_a_result(child: Callable[[str], TrialResult], said: str) -> None:
    result = child(f"print({said!r})")
    assert result.outcome is TrialOutcome.ENDED
    assert "told no result" in result.reason


def test_a_trial_whose_program_is_gone_is_a_result(bench: Trialled, tmp_path: Path) -> None:
    result = run_in_child([str(tmp_path / "gone")], bench.folder, bench.manifest)("dml.onnx", 5)
    assert result.outcome is TrialOutcome.ENDED
    assert "no process can be started" in result.reason


@pytest.mark.skipif(os.name != "posix", reason="asks for processes as POSIX does")
def test_whoever_stops_the_trials_ends_the_one_that_runs(bench: Trialled, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    source = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    program = f"""
import sys
from pathlib import Path
from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.providers.trials import run_in_child
manifest = Manifest.model_validate_json(Path({str(tmp_path / "manifest.json")!r}).read_text())
run_in_child([sys.executable, "-c", {source!r}], Path("."), manifest)("dml.onnx", 50)
"""
    (tmp_path / "manifest.json").write_text(bench.manifest.model_dump_json())
    doctor = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    while not told.exists() or not told.read_text():
        assert doctor.poll() is None
        sleep(0.05)
    doctor.send_signal(2)  # Ctrl-C
    doctor.wait(20)
    trial = int(told.read_text())
    for _ in range(100):
        try:
            os.kill(trial, 0)
        except ProcessLookupError:
            return
        sleep(0.05)
    pytest.fail("the trial still runs")


def test_a_trial_ends_itself_where_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    program = "from thinkport.runtime.cli.trial_program import end_after; import time; end_after(0.5); time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", program], timeout=50, capture_output=True, check=False)
    assert done.returncode


def test_a_file_in_the_working_folder_is_no_module_of_a_trial(tmp_path: Path) -> None:
    (tmp_path / "thinkport.py").write_text("print('taken over')")
    (tmp_path / "json.py").write_text("print('taken over')")
    run = "from thinkport.runtime.providers.program import begin, program; import sys; "
    run += "p = begin([*program(), '--version'], heard=True); out = p.communicate(); print(out)"
    done = subprocess.run([sys.executable, "-P", "-c", run], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "thinkport 0." in done.stdout, done
    assert "taken over" not in done.stdout


def test_a_program_that_finds_its_packages_by_itself_gives_them_to_its_trials(tmp_path: Path) -> None:
    package = tmp_path / "vendored" / "made_up_plugin.py"
    package.parent.mkdir()
    package.write_text("WORD = 'found'")
    sys.path.append(str(package.parent))
    try:
        process = begin([sys.executable, "-c", "import made_up_plugin; print(made_up_plugin.WORD)"], heard=True)
        out, said = process.communicate()
    finally:
        sys.path.remove(str(package.parent))
    assert out.strip() == "found", said


def test_no_other_program_is_taken_for_python(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, known in (
        ("/opt/pythonista-app", False),
        ("C:/x/python_app.exe", False),
        ("/usr/bin/python3.13t", True),
        ("C:/x/PYTHON.EXE", True),
    ):
        monkeypatch.setattr(sys, "executable", name)
        assert (program() is not None) is known, name


def test_a_driver_that_is_installed_or_updated_and_a_device_that_appears_are_seen(tmp_path: Path) -> None:
    """Else what was found without them would hold for ever, though the advice that it gave was taken."""
    seen = [graphics_drivers(tmp_path)]
    for name in ("usr/lib/x86_64-linux-gnu/libvulkan.so.1", "usr/share/vulkan/icd.d/a.json", "dev/dri/renderD128"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
        seen.append(graphics_drivers(tmp_path))
    os.utime(tmp_path / "usr/share/vulkan/icd.d/a.json", (1, 1))
    seen.append(graphics_drivers(tmp_path))
    if sys.platform == "linux":
        assert len(set(seen)) == 5
    else:
        assert len(set(seen)) == 1


@pytest.mark.parametrize("named", ["x" * 5000, "/proc/1/fd/secret.json", "\n"])
def test_a_driver_that_nobody_can_read_is_none(named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VK_DRIVER_FILES", named)
    assert not any(named in one for one in graphics_drivers(tmp_path))


def test_ctrl_c_ends_a_load_that_checks_a_graph(nano_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    went_on = []

    def slow(*asked: Any) -> Any:
        interrupt_main()
        for _ in range(20):
            sleep(0.01)
        went_on.append(True)

    monkeypatch.setattr(ProviderChoice, "choose", slow)
    with pytest.raises(KeyboardInterrupt):
        Model.load(nano_artifact)
    assert not went_on


def test_the_trial_of_the_cpu_loads_no_plugin(nano_artifact: Path, tmp_path: Path) -> None:
    """Else one that crashes would take the CPU's figures with it."""
    package, about = tmp_path / "onnxruntime_ep_webgpu", tmp_path / "onnxruntime_ep_webgpu-0.4.0.dist-info"
    for folder, file, text in [
        (package, "__init__.py", "import os\nos._exit(9)\n"),
        (about, "METADATA", "Metadata-Version: 2.1\nName: onnxruntime-ep-webgpu\nVersion: 0.4.0\n"),
    ]:
        folder.mkdir()
        (folder / file).write_text(text)
    outcomes = {}
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    for graph in ("cpu.onnx", "webgpu.onnx"):
        command = [sys.executable, "-P", "-m", "thinkport.runtime", TRIAL_VERB, str(nano_artifact), graph, "60"]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        outcomes[graph] = done.returncode
    assert outcomes == {"cpu.onnx": 0, "webgpu.onnx": 9}
