"""What `auto` takes by this machine's trials: made-up figures decide, and real processes crash and hang."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.conftest import FakeSession
from tests.runtime.providers.test_provider_choice import CPU, DIRECTML, DML, GPU, GRAPHS, Bench

from thinkport.runtime.artifact.manifest import FileRecord
from thinkport.runtime.providers.devices import Device
from thinkport.runtime.providers.graph_speed import PROMPT, STEPS, graph_speed
from thinkport.runtime.providers.graph_trial import too_large
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.program import TRIAL_VERB
from thinkport.runtime.providers.provider_choice import ProviderChoice
from thinkport.runtime.providers.provider_report import Outcome, ProviderReport
from thinkport.runtime.providers.trial_record import MOST_STARTS, STARTING, TrialOutcome, TrialRecords, TrialResult
from thinkport.runtime.providers.trials import LEAST_SECONDS, Trials, run_in_child

THIS_PROGRAM = ["this program"]


class Ended:
    """A process that was begun and is over."""

    def wait(self) -> int:
        return 0


class Trialled(Bench):
    """A bench whose `auto` goes by trials; `begun` are the processes that were to be started."""

    def __init__(self, folder: Path, *, certified: bool = True):
        super().__init__(folder, replace(DIRECTML, version="1.32.0"), certified=certified)
        self.begun: list[Sequence[str]] = []
        self.now, self.today = 0.0, 1e9
        self.tried: list[str] = []

    def begin(self, command: Sequence[str]) -> Any:
        self.begun.append(command)
        return Ended()

    @property
    def trials(self) -> Trials:
        return Trials(
            folder=self.folder,
            manifest=self.manifest,
            build=self.machine.build,
            plugins=Plugins(None, ()),  # type: ignore[arg-type]
            devices=[GPU],
            records=TrialRecords(self.folder / "trials"),
            command=THIS_PROGRAM,
            begin=self.begin,
            clock=lambda: self.now,
            today=lambda: self.today,
            free_memory=lambda: 10**9,
        )

    @property
    def choice(self) -> ProviderChoice:
        return ProviderChoice(self.folder, self.manifest, self.machine, self.open, trials=self.trials)

    def run(self, seconds: float = 1.0, **results: TrialOutcome | tuple[float, float]) -> None:
        """Run trials of `seconds` each, whose results go by the graph's name: speeds, or an outcome."""

        def run_graph(file: str, left: float) -> TrialResult:
            self.tried.append(file)
            self.now += seconds
            found = results[file.removesuffix(".onnx").replace("-", "_")]
            provider = next(graph.providers[0] for graph in GRAPHS if graph.file == file)
            if isinstance(found, TrialOutcome):
                return TrialResult(graph=file, provider=provider, outcome=found, reason="made up", device="a card")
            prefill, decode = found
            right = TrialOutcome.RIGHT
            return TrialResult(
                graph=file, provider=provider, outcome=right, reason="made up", prefill=prefill, decode=decode
            )

        self.trials.run(run_graph)


@pytest.fixture
def bench(tmp_path: Path) -> Trialled:
    return Trialled(tmp_path)


def of(report: ProviderReport, graph: str) -> tuple[Outcome, str]:
    one = next(one for one in report.attempts if one.graph == graph)
    return one.outcome, one.reason


def test_the_cpu_answers_while_the_card_is_tried_in_a_process_of_its_own(bench: Trialled) -> None:
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "cpu.onnx"
    assert bench.opened == ["cpu.onnx"]
    assert bench.begun == [[*THIS_PROGRAM, TRIAL_VERB, str(bench.folder)]]
    outcome, reason = of(report, "dml.onnx")
    assert outcome is Outcome.TRYING
    assert "beside this one" in reason


def test_the_fastest_right_graph_is_taken_and_its_figures_are_said(bench: Trialled) -> None:
    bench.run(cpu=(100, 10), dml=(800, 40))
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "dml.onnx"
    assert "40 tokens/s, prompts 800: a reply takes cpu.onnx 4.2 times as long (10 tokens/s" in report.reason
    assert not bench.begun
    assert "dml-plain.onnx" not in bench.tried  # a variant for where the first is wrong


def test_a_slow_card_loses_to_the_cpu_and_the_report_says_by_how_much(bench: Trialled) -> None:
    bench.run(cpu=(300, 30), dml=(90, 7.5))
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "cpu.onnx"
    assert bench.opened == ["cpu.onnx"]  # the card is not even loaded
    assert "a reply takes dml.onnx 3.9 times as long" in report.reason
    assert of(report, "dml.onnx") == (Outcome.SLOWER, "right here, and slower: 8 tokens/s, prompts 90")


def test_long_prompts_count_as_much_as_replies(bench: Trialled) -> None:
    bench.run(cpu=(50, 30), dml=(1000, 25))
    assert bench.report().chosen
    assert bench.opened == ["dml.onnx"]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [(TrialOutcome.WRONG, Outcome.WRONG), (TrialOutcome.ENDED, Outcome.FAILED)],
)
def test_a_card_that_is_wrong_or_crashes_is_never_tried_twice(
    bench: Trialled, outcome: TrialOutcome, told: Outcome
) -> None:
    bench.run(cpu=(100, 10), dml=outcome, dml_plain=outcome)
    for _ in range(3):
        report = bench.report()
        assert report.chosen
        assert report.chosen.graph == "cpu.onnx"
        assert of(report, "dml.onnx")[0] is told
    assert not bench.begun
    bench.run()  # nothing is left to try
    assert bench.tried == ["cpu.onnx", "dml.onnx", "dml-plain.onnx"]


def test_a_trial_that_takes_the_computer_down_is_not_run_again(bench: Trialled) -> None:
    def power_cut(file: str, left: float) -> TrialResult:
        if file == "dml.onnx":
            raise SystemExit
        return TrialResult(graph=file, provider=CPU, outcome=TrialOutcome.RIGHT, reason="", prefill=100, decode=10)

    with pytest.raises(SystemExit):
        bench.trials.run(power_cut)
    bench.run(dml_plain=(800, 40))
    assert bench.tried == ["dml-plain.onnx"]
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "dml-plain.onnx"
    assert "never came to an end" in of(report, "dml.onnx")[1]


def test_trials_that_use_up_their_time_leave_the_others_out(bench: Trialled) -> None:
    bench.run(seconds=LEAST_SECONDS, cpu=(100, 10))
    assert bench.tried == ["cpu.onnx"]
    assert "took all of 20 seconds" in of(bench.report(), "dml.onnx")[1]


def test_trials_that_come_to_nothing_are_given_up(bench: Trialled) -> None:
    for _ in range(MOST_STARTS + 2):
        report = bench.report()
        bench.today += STARTING
    assert len(bench.begun) == MOST_STARTS
    assert "begun 2 times and came to nothing" in of(report, "dml.onnx")[1]
    assert report.chosen
    assert report.chosen.graph == "cpu.onnx"


def test_a_provider_without_a_device_is_not_tried_for_the_next_artifact(bench: Trialled, tmp_path: Path) -> None:
    def no_device(file: str, left: float) -> TrialResult:
        right = file == "cpu.onnx"
        outcome = TrialOutcome.RIGHT if right else TrialOutcome.IMPOSSIBLE
        provider = CPU if right else DML
        figures: dict[str, Any] = {"prefill": 9, "decode": 9} if right else {"absent": True}
        return TrialResult(graph=file, provider=provider, outcome=outcome, reason="no device", **figures)

    bench.trials.run(no_device)
    (bench.folder / "thinkport.json").write_text("another artifact")
    assert bench.trials.worth(GRAPHS) == [GRAPHS[0]]
    bench.trials.forget()
    assert len(bench.trials.worth(GRAPHS)) == 3


def test_a_card_that_was_named_is_checked_here_and_now(bench: Trialled) -> None:
    assert bench.outcomes("dml")["dml.onnx"] is Outcome.CHECKED
    assert not bench.begun


def test_without_goldens_the_cpu_is_taken_since_nothing_tells_whether_a_card_is_right(tmp_path: Path) -> None:
    bench = Trialled(tmp_path, certified=False)
    report = bench.report()
    assert report.chosen
    assert report.chosen.graph == "cpu.onnx"
    assert "name its provider" in of(report, "dml.onnx")[1]
    assert not bench.begun


def test_where_no_process_can_be_started_the_first_right_graph_is_taken(tmp_path: Path) -> None:
    class Embedded(Trialled):
        @property
        def trials(self) -> Trials:
            return replace(super().trials, command=None)

    assert Embedded(tmp_path).outcomes()["dml.onnx"] is Outcome.CHECKED


@pytest.fixture
def child(tmp_path: Path) -> Callable[[str], TrialResult]:
    """Runs a program in place of a trial, within two seconds."""
    bench = Trialled(tmp_path)

    def run(source: str) -> TrialResult:
        return run_in_child([sys.executable, "-c", source], bench.folder, bench.manifest)("dml.onnx", 2)

    return run


def test_a_crash_is_a_result(child: Callable[[str], TrialResult]) -> None:
    result = child("import os, sys; sys.stderr.write('driver fault'); sys.stderr.flush(); os.abort()")
    assert result.outcome is TrialOutcome.ENDED
    assert "its process ended with" in result.reason
    assert "driver fault" in result.reason


def test_a_hang_is_a_result(child: Callable[[str], TrialResult]) -> None:
    result = child("import time; time.sleep(60)")
    assert (result.outcome, result.reason) == (TrialOutcome.ENDED, "it did not end in 2 seconds")


def test_a_prompt_and_steps_are_timed_twice() -> None:
    session = FakeSession()
    prefill, decode = graph_speed(session)
    assert (prefill.tokens, decode.tokens) == (PROMPT, STEPS)
    assert sum(session.steps) == 2 * (PROMPT + STEPS)


def test_the_trials_of_an_artifact_run_as_a_program(nano_artifact: Path) -> None:
    command = [sys.executable, "-m", "thinkport.runtime", TRIAL_VERB, str(nano_artifact), "cpu.onnx", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"outcome": "right"' in done.stdout


def test_weights_that_a_device_cannot_hold_are_not_loaded(bench: Trialled) -> None:
    large = {"weights.bin": FileRecord(bytes=10**15, sha256="0" * 64)}
    manifest = bench.manifest.model_copy(update={"files": large})
    small, unknown = Device(name="Small card", driver="1", memory=2 * 10**9), Device(name="Other card", driver="1")
    assert "Small card (driver 1) can have" in (too_large(manifest, [unknown, small], "Small card (vendor)") or "")
    assert "needs 1000000.0 GB" in (too_large(manifest, [small, unknown], "") or "")
    assert too_large(manifest, [unknown, small], "") is None
    assert too_large(bench.manifest, [small], "Small card (vendor)") is None
