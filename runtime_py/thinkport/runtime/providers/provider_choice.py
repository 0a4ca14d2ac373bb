"""From an artifact's graphs to the one that runs here: installed, present and right.

The best graph that the installed ONNX Runtime can run is loaded and, on its first use on a machine, held against the
artifact's goldens. One that is wrong or fails makes room for the next: another variant for the same provider, then the
CPU's. Knows manifest, sessions, the check and the verdicts; holds no table of targets.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from thinkport.runtime.artifact.block_hashes import ChangedBlockError
from thinkport.runtime.artifact.certificate import GoldenScore
from thinkport.runtime.artifact.manifest import Graph, Manifest, fingerprint
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.errors import ArtifactError, InputError, ProviderWarning, UnavailableError
from thinkport.runtime.extras import install_line
from thinkport.runtime.machine.cpu_features import cpu_features
from thinkport.runtime.machine.known_files import KnownFiles
from thinkport.runtime.providers.auto_choice import AutoChoice, auto_choice
from thinkport.runtime.providers.devices import Device, graphics_devices
from thinkport.runtime.providers.drivers import graphics_drivers
from thinkport.runtime.providers.graph_check import Goldens, check_graph, check_unrounded, pieces
from thinkport.runtime.providers.kernels import PACKAGE, Kernels
from thinkport.runtime.providers.ort import (
    AUTO,
    CPU,
    Candidate,
    OrtBuild,
    candidates,
    clash_of,
    installed_builds,
    refusal,
)
from thinkport.runtime.providers.own_check import OwnResult
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.provider_report import Attempt, Outcome, ProviderReport
from thinkport.runtime.providers.trials import Trials
from thinkport.runtime.providers.verdicts import VerdictKey, Verdicts

_SOFTWARE = "A software adapter computes on the CPU and is slower than the CPU's own graph"

OpenGraph = Callable[[Candidate], LaneSource]
OpenUnrounded = Callable[[Candidate], AbstractContextManager[LaneSource]]
"""Loads a graph whose matrix products round no activations; see `unrounded`."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a choice depends on beside the artifact: ONNX Runtime's build, the devices, and what is remembered.

    `cpu` is what the CPU can do, as text; `missing` are libraries that the build looked for in vain, in words;
    `plugins` are what stands beside the build, `drivers` what their devices depend on, `kernels` thinkport's own for
    the CPU.
    """

    build: OrtBuild
    devices: Sequence[Device]
    cpu: str
    verdicts: Verdicts
    missing: str = ""
    plugins: Plugins | None = None
    drivers: Sequence[str] = ()
    kernels: Kernels | None = None

    @classmethod
    def here(
        cls, build: OrtBuild, missing: str = "", plugins: Plugins | None = None, kernels: Kernels | None = None
    ) -> "Machine":
        """This machine, with what its user's cache folder remembers."""
        return cls(
            build=build,
            devices=graphics_devices(),
            cpu=cpu_features(),
            verdicts=Verdicts(),
            missing=missing,
            plugins=plugins,
            drivers=graphics_drivers(),
            kernels=kernels,
        )


@dataclass(frozen=True, kw_only=True)
class OpenedGraph:
    """The session that runs and why it does."""

    session: LaneSource
    candidate: Candidate
    report: ProviderReport


class ProviderChoice:
    """The choice for one artifact on one machine.

    `open_graph` loads a graph, `open_unrounded` one that does not round its products; without it no check is so tight.
    Without `trials`, `auto` takes the first graph that is right, in the order of `candidates`.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        machine: Machine,
        open_graph: OpenGraph,
        open_unrounded: OpenUnrounded | None = None,
        trials: Trials | None = None,
    ):
        self._folder, self._manifest, self._machine, self._open = folder, manifest, machine, open_graph
        self._open_unrounded, self._trials = open_unrounded, trials
        self._artifact = fingerprint(folder)

    def choose(self, graphs: Sequence[Graph], provider: str) -> OpenedGraph:
        """The first graph that is right; a `ProviderWarning` says what was passed over or could not be checked.

        Raises:
            InputError: `provider` is not in the artifact or can't be had here; the message says why.
            ArtifactError: no graph runs with the installed ONNX Runtime, or a block of the weights was changed.
        """
        build, asked, machine = self._machine.build, provider.casefold(), self._machine
        fast = auto_choice(graphs, self._trials) if asked == AUTO and self._trials is not None else None
        fast = fast or AutoChoice(graphs=list(graphs))
        found = candidates(fast.graphs, provider, build.providers, build.version, machine.plugins, machine.kernels)
        if found[0].obstacle:
            raise refusal(found, provider, build.providers, build.version, clash_of(installed_builds()))
        attempts: list[Attempt] = []
        for at, candidate in enumerate(found):
            session, attempt = self._attempt(candidate)
            attempts.append(attempt)
            if session is not None:
                attempts[at] = attempt = fast.of(attempt)
                attempts += [*(_unneeded(other) for other in found[at + 1 :]), *fast.others]
                report = ProviderReport(asked=provider, build=str(build), attempts=tuple(attempts))
                unsure = attempt.outcome is Outcome.UNCHECKED and attempt.provider != CPU
                software = candidate.plugin is not None and candidate.plugin.software
                if report.passed_over or unsure or software:
                    slow = f". {_SOFTWARE}" if software else ""
                    warnings.warn(f"{report.reason}{slow}", ProviderWarning, stacklevel=3)
                return OpenedGraph(session=session, candidate=candidate, report=report)
        tried = ". ".join(map(str, attempts))
        if provider == AUTO:
            raise ArtifactError(f"none of the artifact's graphs can be used here. {tried}")
        raise InputError(f"provider {provider!r} can't be used here. {tried}. {_cure(found[0].graph, attempts)}")

    def found_since(self, graphs: Sequence[Graph], report: ProviderReport) -> AutoChoice | None:
        """What `auto` would choose now that trials are through that `report` says go on; None where they still do."""
        if self._trials is None or not report.trying or not self._trials.record.whole:
            return None
        return auto_choice(graphs, self._trials)

    def key(self, candidate: Candidate) -> VerdictKey:
        """What a verdict on this graph holds for."""
        machine, graph, plugin = self._machine, candidate.graph, candidate.plugin
        beside = candidate.kernels if plugin is None else plugin.plugin
        devices = (machine.cpu,) if graph.providers[0] == CPU else tuple(sorted(map(str, machine.devices)))
        return VerdictKey(
            artifact=self._artifact,
            graph=graph.file,
            provider=graph.providers[0],
            package=str(machine.build) if beside is None else f"{machine.build} with {beside}",
            devices=devices if plugin is None else (str(plugin), *devices, *machine.drivers),
            thinkport=version("thinkport"),
            device=candidate.device or 0,
        )

    def check(
        self, candidate: Candidate, goldens: Goldens, *, whole: bool = False
    ) -> tuple[LaneSource | None, Attempt]:
        """Load a graph and hold it against goldens, whatever is remembered, and remember the verdict.

        Not `whole`, the CPU runs fewer tokens, which its user would wait for; another provider runs all at any time.

        Raises:
            ArtifactError: the graph is wrong or fails since a file is damaged, which says nothing of the machine.
        """
        verdicts, key, graph = self._machine.verdicts, self.key(candidate), candidate.graph
        trial = verdicts.read(key).begun()
        if graph.providers[0] != CPU or candidate.kernels is not None:
            verdicts.write(key, trial)  # before loading: a driver or a kernel may end the process
        try:
            begun = perf_counter()
            unrounded = self._unrounded(candidate, goldens, whole=whole)
            before = perf_counter() - begun
            session, attempt = self._opened(candidate, Outcome.CHECKED, "")
            if session is None:
                verdicts.forget(key)  # what is missing can be installed
                return None, attempt
            begun = perf_counter() - before
            try:
                brief, recorded = graph.providers[0] == CPU and not whole, _recorded(self._manifest, graph)
                result = check_graph(session, graph, goldens, recorded, brief=brief, unrounded=unrounded)
            except (ArtifactError, UnavailableError) as error:  # a lost device, or one whose memory is full
                self._check_files()
                verdicts.write(key, trial.failed(str(error)))
                return None, attempt_of(candidate, Outcome.FAILED, str(error), perf_counter() - begun)
            if result.fault is not None:
                self._check_files()
        except BaseException:  # the user stopped it, or a file is damaged
            verdicts.forget(key)
            raise
        verdicts.write(key, trial.ended(result.fault, result.widest, result.narrowed))
        if result.fault is not None:
            return None, attempt_of(candidate, Outcome.WRONG, result.fault, perf_counter() - begun)
        narrow_steps(session, result.widest)
        said = "; ".join(filter(None, (result.agreement, pieces(result.widest, result.narrowed))))
        return session, attempt_of(candidate, Outcome.CHECKED, said, perf_counter() - begun)

    def _unrounded(self, candidate: Candidate, goldens: Goldens, *, whole: bool) -> OwnResult | None:
        """The tight check of a graph that rounds its products; None where it has none or can't have it here.

        It loads the weights once more, which a user of the CPU would wait for, and lets go of them: a device may have
        room for one graph.
        """
        on_cpu, opened = candidate.graph.providers[0] == CPU, self._open_unrounded
        if opened is None or candidate.kernels is not None or (on_cpu and not whole):
            return None
        try:
            return check_unrounded(partial(opened, candidate), candidate.graph, goldens, brief=on_cpu)
        except (ArtifactError, UnavailableError):  # the graph as it is says what is wrong
            return None

    def _check_files(self) -> None:
        """Look at the files before a machine is blamed, and every other copy of the artifact with it."""
        KnownFiles().check(self._folder, self._manifest, anew=True)

    def _attempt(self, candidate: Candidate) -> tuple[LaneSource | None, Attempt]:
        graph = candidate.graph
        if candidate.obstacle:
            return None, attempt_of(candidate, Outcome.IMPOSSIBLE, candidate.obstacle)
        known = self._machine.verdicts.read(self.key(candidate))
        if known.wrong is not None:
            named = "" if candidate.device is None else f" --provider {graph.target}:{candidate.device}"
            why = f"as found before on this machine, {known.wrong}; `thinkport doctor ARTIFACT{named}` checks it again"
            return None, attempt_of(candidate, Outcome.WRONG, why)
        if known.right:
            said = ("was right before, on this machine", pieces(known.widest, known.narrowed))
            session, attempt = self._opened(candidate, Outcome.REMEMBERED, "; ".join(filter(None, said)))
            if session is not None:
                narrow_steps(session, known.widest)
            return session, attempt
        if obstacle := self._start(candidate).obstacle:
            return None, attempt_of(candidate, Outcome.IMPOSSIBLE, obstacle)
        if graph.providers[0] == CPU and not self._machine.verdicts.remembers:
            why = "the provider on which it was certified; not checked: the user's cache folder can't be written"
            return self._opened(candidate, Outcome.UNCHECKED, why)
        if self._manifest.certificate is None:
            why = "not checked, since the artifact was exported with --no-certificate and has no goldens"
            return self._opened(candidate, Outcome.UNCHECKED, why)
        return self.check(candidate, Goldens.of(self._folder / self._manifest.certificate.goldens))

    def _start(self, candidate: Candidate) -> Candidate:
        """Start a plugin's device; a driver that ends the process then is known of at the next start."""
        if candidate.plugin is None:
            return candidate
        verdicts, key = self._machine.verdicts, self.key(candidate)
        known = verdicts.read(key)
        verdicts.write(key, known.begun())
        try:
            return candidate.started
        finally:
            verdicts.write(key, known) if known.trials else verdicts.forget(key)

    def _opened(self, candidate: Candidate, outcome: Outcome, reason: str) -> tuple[LaneSource | None, Attempt]:
        try:
            return self._open(candidate), attempt_of(candidate, outcome, reason)
        except ChangedBlockError:  # every other graph reads the same weights, and would not look
            raise
        except ArtifactError as error:
            missing = f" ({self._machine.missing})" if self._machine.missing else ""
            return None, attempt_of(candidate, Outcome.FAILED, f"{error}{missing}")


def _cure(graph: Graph, attempts: Sequence[Attempt]) -> str:
    """What to do about a provider none of whose graphs can be used; `graph` is that of the first attempt."""
    first = attempts[0]
    if all(one.outcome is Outcome.IMPOSSIBLE for one in attempts):
        return "Leave the provider out"
    if all(one.kernels is not None for one in attempts):
        return f"Install {PACKAGE} again, or leave the provider out, which takes standard kernels"
    if any(one.ran for one in attempts):
        if first.provider == CPU:
            return "Upgrade the installed build of ONNX Runtime, or export the artifact again"
        other = f"try another device ({graph.target}:{int(not first.device)}), " if graph.has_devices else ""
        return (
            f"Update the device's driver, {other}export the artifact again if an older thinkport did it, or leave "
            "the provider out"
        )
    if first.device is not None:
        return f"Is there a device {first.device}? Give another number, or none for the first device"
    return f"Install its driver and {install_line(graph.target)}, or leave the provider out"


def narrow_steps(session: LaneSource, widest: int | None) -> None:
    """Let a prompt's steps have at most `widest` tokens, or where that is more than the graph's own size so many."""
    if widest is not None and session.several_tokens_over_past:
        session.prefill_chunk = widest


def _recorded(manifest: Manifest, graph: Graph) -> GoldenScore | None:
    figure = manifest.certificate.by_graph.get(graph.file) if manifest.certificate else None
    return None if figure is None else figure.quick_score


def attempt_of(candidate: Candidate, outcome: Outcome, reason: str, seconds: float | None = None) -> Attempt:
    """What became of a candidate, as an `Attempt` says it."""
    return Attempt(
        graph=candidate.graph.file,
        provider=candidate.graph.providers[0],
        outcome=outcome,
        reason=reason,
        seconds=seconds,
        device=candidate.device,
        device_name=None if candidate.plugin is None else str(candidate.plugin),
        kernels=None if candidate.kernels is None or candidate.obstacle else candidate.kernels.name,
    )


def _unneeded(candidate: Candidate) -> Attempt:
    if candidate.obstacle:
        return attempt_of(candidate, Outcome.IMPOSSIBLE, candidate.obstacle)
    return attempt_of(candidate, Outcome.UNNEEDED, "a better one is used")
