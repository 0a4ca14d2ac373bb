"""Trials of an artifact's graphs on this machine, each in a process of its own: which are right, and how fast each is.

A graphics driver can crash, and hang for good; a process that does is ended, and what it took down is known. Trials are
begun once for an artifact on a machine and go on beside whoever began them. Knows processes, records and the graphs
that are worth a trial. Must not know how a graph is checked.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from time import monotonic, sleep, time
from typing import Self

from pydantic import TypeAdapter

from thinkport.runtime.artifact.manifest import Graph, Manifest, fingerprint, read_manifest
from thinkport.runtime.machine.cpu_features import cpu_features
from thinkport.runtime.providers.devices import Device, graphics_devices
from thinkport.runtime.providers.drivers import graphics_drivers
from thinkport.runtime.providers.ort import AUTO, CPU, OrtBuild, build_of, import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.program import TRIAL_VERB, begin, program, told
from thinkport.runtime.providers.trial_record import (
    MOST_STARTS,
    TrialOutcome,
    TrialRecord,
    TrialRecords,
    TrialResult,
)
from thinkport.runtime.providers.verdicts import VerdictKey

# All trials together may take so long: measured at 0.6B (0.4 GB), and larger weights take longer to load.
LEAST_SECONDS, SECONDS_A_GB = 20.0, 40.0
_LEAST = 1.0  # seconds in which no trial ends

RunGraph = Callable[[str, float], TrialResult]
"""Runs the trial of a graph's file within so many seconds."""


def _free_memory() -> int:
    """Bytes of the computer's memory that programs can have."""
    import psutil

    return int(psutil.virtual_memory().available)


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The trials of one artifact on this machine. `devices` are as the system lists them; no driver is started.

    `command` starts this program's verbs once more, None where that can't be done.
    """

    folder: Path
    manifest: Manifest
    build: OrtBuild
    plugins: Plugins
    devices: Sequence[Device]
    records: TrialRecords
    command: Sequence[str] | None
    begin: Callable[[Sequence[str]], "subprocess.Popen[str]"] = begin
    clock: Callable[[], float] = monotonic
    today: Callable[[], float] = time
    free_memory: Callable[[], int] = _free_memory

    @classmethod
    def here(cls, folder: Path, manifest: Manifest, build: OrtBuild, plugins: Plugins) -> Self:
        """This machine's, with what its user's cache folder remembers."""
        return cls(
            folder=folder,
            manifest=manifest,
            build=build,
            plugins=plugins,
            devices=graphics_devices(),
            records=TrialRecords(),
            command=program(),
        )

    @property
    def key(self) -> VerdictKey:
        """What a record holds for."""
        return self._key(fingerprint(self.folder), "auto")

    def _nowhere(self, provider: str) -> TrialRecord:
        """What is known of a provider whatever the artifact: a whole record says that it has no device here."""
        return self.records.read(self._key("*", provider))

    def absent(self, graphs: Sequence[Graph]) -> list[tuple[Graph, TrialResult]]:
        """The graphs of installed plugins that are known to have no device here, with what was found then."""
        plugged = [graph for graph in graphs if self.plugins.is_installed(graph.providers[0])]
        found = [(graph, self._nowhere(graph.providers[0])) for graph in plugged]
        return [(graph, known.results[0]) for graph, known in found if known.whole and known.results]

    def _key(self, artifact: str, provider: str) -> VerdictKey:
        versions = (str(self.build), *self.plugins.installed)
        drivers = (cpu_features(), *sorted(map(str, self.devices)), *graphics_drivers())
        return VerdictKey(
            artifact=artifact,
            graph="*",
            provider=provider,
            package=" with ".join(versions),
            devices=drivers,
            thinkport=version("thinkport"),
        )

    @property
    def record(self) -> TrialRecord:
        """What is known by now."""
        return self.records.read(self.key)

    def worth(self, graphs: Sequence[Graph]) -> list[Graph]:
        """The graphs to try: the CPU's best, and those of other providers that this ONNX Runtime or a plugin has.

        Only the CPU's where there is no other: then there is nothing to choose.
        """
        available = self.build.providers
        own = [graph for graph in graphs if graph.providers[0] == CPU and self.build.runs(graph)]
        others = [
            graph
            for graph in graphs
            if graph.providers[0] != CPU
            and self.build.runs(graph)
            and (graph.providers[0] in available or self.plugins.is_installed(graph.providers[0]))
            and not self._nowhere(graph.providers[0]).whole
        ]
        return [*own[:1], *others]

    @property
    def possible(self) -> bool:
        """Whether trials can be begun from here, and remembered."""
        return self.command is not None and self.records.remembers

    @property
    def _weights(self) -> int:
        """The bytes of the largest file."""
        return max(file.bytes for file in self.manifest.files.values())

    @property
    def seconds(self) -> float:
        """How long all trials together may take."""
        return max(LEAST_SECONDS, SECONDS_A_GB * self._weights / 1e9)

    def forget(self) -> None:
        """Take the record back, so that every graph is tried anew."""
        for key in (self.key, *(self._key("*", graph.providers[0]) for graph in self.manifest.graphs)):
            self.records.forget(key)

    def start(self) -> str | None:
        """Begin the trials in a process beside this one, where they are `possible`.

        Return why they are not begun, None where they were, now or by another program.
        """
        key = self.key
        record = self.records.read(key)
        if record.starting(self.today()):
            return None
        if record.starts >= MOST_STARTS:
            return (
                f"trials were begun {record.starts} times and came to nothing; `thinkport doctor ARTIFACT` tries again"
            )
        needed, free = 2 * self._weights, self.free_memory()  # this program's and the trial's
        if needed > free:
            return (
                f"a trial beside this program needs {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
            )
        try:
            return self._start(key, record)
        except OSError as error:
            return f"no process can be started for a trial: {error}"

    def _start(self, key: VerdictKey, record: TrialRecord) -> str | None:
        assert self.command is not None, "whoever asks looked whether trials are possible"
        lock = self.records.try_lock(key)
        if lock is None:
            return None  # another process runs them now
        lock.close()
        started = record.started(self.today())
        self.records.write(key, started)
        if self.records.read(key).starts < started.starts:  # it would be begun at every load
            return "the user's cache folder can't be written"
        process = self.begin([*self.command, TRIAL_VERB, str(self.folder)])
        Thread(target=process.wait, daemon=True).start()  # so that no dead process is left behind
        return None

    def run(self, run_graph: RunGraph, tell: Callable[[str], None] = lambda line: None) -> TrialRecord:
        """Run the trials that were not run yet, and remember them if that can be; `tell` hears of each.

        Where another process is running them, it returns what is known by now.
        """
        key = self.key
        try:
            lock = self.records.try_lock(key)
        except OSError:  # nothing can be remembered, nor can another process run them
            return self._run(key, run_graph, tell)
        if lock is None:
            return self.records.read(key)
        with lock:
            return self._run(key, run_graph, tell)

    def finish(self, run_graph: RunGraph, wait: Callable[[float], None] = sleep) -> TrialRecord:
        """Have the trials through that a load would begin, here or in the process that runs them by now.

        Nothing is tried where a load tries nothing; what is known is returned.
        """
        others = [graph for graph in self.worth(self.manifest.graphs) if graph.providers[0] != CPU]
        if not others or self.manifest.certificate is None or not self.possible:
            return TrialRecord()
        end, record = self.clock() + 2 * self.seconds, self.record
        while not record.whole and self.clock() < end:
            record = self.run(run_graph)
            if not record.whole:
                wait(_LEAST)
        return record

    def _run(self, key: VerdictKey, run_graph: RunGraph, tell: Callable[[str], None]) -> TrialRecord:
        before = self.records.read(key)
        record = TrialRecord(starts=before.starts, begun=before.begun)
        providers = {graph.file: graph.providers[0] for graph in self.manifest.graphs}

        def run_noted(graph: str, seconds: float) -> TrialResult:
            """A trial on a device that takes the computer down with it is known of, and not run again."""
            if known := before.of(graph):
                return known
            if providers[graph] != CPU:
                note = ended(graph, providers[graph], "its trial never came to an end")
                self.records.write(key, record.with_result(note))
            return run_graph(graph, seconds)

        for result in self._results(run_noted):
            tell(f"{result.graph}: {result.reason}")
            record = record.with_result(result)
            self.records.write(key, record)
            if result.absent:
                nowhere = TrialRecord(results=(result,), whole=True)
                self.records.write(self._key("*", result.provider), nowhere)
        record = TrialRecord(results=record.results, whole=True)
        self.records.write(key, record)
        return record

    def _results(self, run_graph: RunGraph) -> Iterator[TrialResult]:
        end, right = self.clock() + self.seconds, set[str]()
        for graph in self.worth(self.manifest.graphs):
            if graph.target in right:
                continue  # a variant for devices where the one before is wrong
            left = end - self.clock()
            if left < _LEAST:
                why = f"the trials before took all of {self.seconds:.0f} seconds"
                yield ended(graph.file, graph.providers[0], why)
                continue
            result = run_graph(graph.file, left)
            if result.outcome is TrialOutcome.RIGHT:
                right.add(graph.target)
            yield result


def finish_trials(folder: Path, provider: str) -> TrialRecord:
    """Have an artifact's trials through before it is measured with `provider`, so that none goes on beside.

    Empty where `provider` is a name, or a load would try nothing.

    Raises:
        ArtifactError: the artifact is broken.
    """
    if provider.casefold() != AUTO:
        return TrialRecord()
    manifest, ort = read_manifest(folder), import_onnxruntime()
    trials = Trials.here(folder, manifest, build_of(ort), Plugins(ort))
    return trials.finish(run_in_child(trials.command or (), folder, manifest))


def run_in_child(command: Sequence[str], folder: Path, manifest: Manifest) -> RunGraph:
    """Runs each trial in a process of its own, which is ended when its time is over; `command` is this program's."""
    providers = {graph.file: graph.providers[0] for graph in manifest.graphs}

    def run(graph: str, seconds: float) -> TrialResult:
        out, fault = told([*command, TRIAL_VERB, str(folder), graph, str(seconds)], seconds)
        if fault is None and (result := _result(out)):
            return result
        return ended(graph, providers[graph], fault or f"its process told no result: {out.strip() or 'no word'}")

    return run


def _result(out: str) -> TrialResult | None:
    """The result in what a trial printed; a driver may have a word after it."""
    for line in reversed(out.splitlines()):
        with suppress(ValueError):  # pydantic's error is one
            return TypeAdapter(TrialResult).validate_json(line)
    return None


def ended(graph: str, provider: str, why: str) -> TrialResult:
    """The result of a trial that came to no end of its own."""
    return TrialResult(graph=graph, provider=provider, outcome=TrialOutcome.ENDED, reason=why)
