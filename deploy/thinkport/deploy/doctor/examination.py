"""What the doctor knows of machine and artifact: the facts, the findings, and each graph's trial. Prints nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from thinkport.deploy.doctor.findings import Finding, Severity, artifact_findings, machine_findings
from thinkport.deploy.doctor.machine_facts import MachineFacts, machine_facts
from thinkport.runtime.artifact.manifest import Graph, Manifest, read_manifest
from thinkport.runtime.engine.session import Session, on_device
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.machine.cpu_features import cpu_features
from thinkport.runtime.machine.known_files import FilesCheck, KnownFiles
from thinkport.runtime.machine.plugin_device import open_session
from thinkport.runtime.providers.drivers import graphics_drivers
from thinkport.runtime.providers.graph_check import Goldens
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import AUTO, Candidate, candidates, import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.provider_choice import Machine, OpenGraph, ProviderChoice, attempt_of
from thinkport.runtime.providers.provider_report import Attempt, Outcome
from thinkport.runtime.providers.trial_record import TrialOutcome, TrialRecord, TrialResult
from thinkport.runtime.providers.trials import Trials, run_in_child
from thinkport.runtime.providers.unrounded import open_unrounded
from thinkport.runtime.providers.verdicts import Verdicts


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One graph on its provider: what became of it, its speed over the goldens, and its nodes by provider.

    `timed` is its trial for `auto`, None where it had none.
    """

    attempt: Attempt
    tokens_per_second: float | None = None
    timed: TrialResult | None = None
    nodes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All of it; `runs` is the graph that a load would take now, None where none can be.

    `files` are two checks of the artifact's files: as a first start makes it, which hashes them, and as a later one.
    """

    facts: MachineFacts
    artifact: str | None
    files: tuple[FilesCheck, FilesCheck] | None = None
    trials: tuple[Trial, ...]
    findings: tuple[Finding, ...]

    @property
    def runs(self) -> Attempt | None:
        """The fastest graph of those that were right; without figures the first one, as a load then tries them."""
        used = (Outcome.CHECKED, Outcome.UNCHECKED)
        right = [trial for trial in self.trials if trial.attempt.outcome in used]
        timed = [(one.timed.reply_seconds, at) for at, one in enumerate(right) if one.timed and one.timed.reply_seconds]
        if timed:
            return right[min(timed)[1]].attempt
        return right[0].attempt if right else None

    @property
    def exit_code(self) -> int:
        """0 where nothing has to be done, 1 with a warning, 2 with an error."""
        worst = {finding.severity for finding in self.findings}
        return 2 if Severity.ERROR in worst else int(Severity.WARNING in worst)

    def as_json(self) -> dict[str, Any]:
        """The examination for programs."""
        return {**asdict(self), "runs": self.runs and asdict(self.runs), "exit_code": self.exit_code}


def examine(
    artifact: Path | None,
    facts: MachineFacts | None = None,
    verdicts: Verdicts | None = None,
    *,
    provider: str = AUTO,
    kernels: str = AUTO,
) -> Examination:
    """Look at this machine and, with an artifact, try every graph of it that can run, whatever is remembered.

    `provider` and `kernels` are what `Model.load` takes: a provider's name leaves the other graphs out, and may choose
    a device.

    Raises:
        InputError: `provider` names nothing in the artifact, there is no artifact, or the kernels can't be had here.
        ArtifactError: no artifact there, or one that is not whole.
    """
    if artifact is None and provider != AUTO:
        raise InputError(f"provider {provider!r} names graphs of an artifact, and none was given: name its folder too")
    real, facts = facts is None, facts or machine_facts(kernels)
    files, trials = None, tuple[Trial, ...]()
    if artifact is not None:
        manifest = read_manifest(artifact)
        known = KnownFiles()
        files = known.check(artifact, manifest, anew=True), known.check(artifact, manifest)
        timed = _timed(artifact, manifest, facts) if real and provider == AUTO else TrialRecord()
        trials = tuple(
            _trials(artifact, manifest, facts, verdicts or Verdicts(), provider, Kernels.here(kernels), timed)
        )
    findings = (*machine_findings(facts), *artifact_findings([trial.attempt for trial in trials]))
    name = None if artifact is None else str(artifact)
    return Examination(facts=facts, artifact=name, files=files, trials=trials, findings=findings)


def _timed(folder: Path, manifest: Manifest, facts: MachineFacts) -> TrialRecord:
    """The trials that `auto` goes by, run anew in processes of their own; empty where it has nothing to choose from."""
    if facts.build is None or manifest.certificate is None:
        return TrialRecord()
    trials = Trials.here(folder, manifest, facts.build, Plugins(import_onnxruntime()))
    trials.forget()
    if trials.command is None or len(trials.worth(manifest.graphs)) < 2:
        return TrialRecord()
    return trials.run(run_in_child(trials.command, folder, manifest))


def _trials(
    folder: Path,
    manifest: Manifest,
    facts: MachineFacts,
    verdicts: Verdicts,
    provider: str,
    kernels: Kernels,
    timed: TrialRecord,
) -> Iterator[Trial]:
    if facts.build is None:
        return
    ort = import_onnxruntime()

    def open_graph(candidate: Candidate) -> Session:
        return Session(ort, folder, candidate.graph, manifest.model, None, lambda: None, *candidate.place)

    def unrounded(one: Candidate) -> closing[Session]:
        return open_unrounded(ort, folder, one, manifest.model)

    plugins = Plugins(ort, unusable={one.provider: one.needs or "" for one in facts.plugins if one.ended})
    machine = Machine(
        build=facts.build,
        devices=facts.devices,
        cpu=cpu_features(),
        verdicts=verdicts,
        missing=facts.missing,
        plugins=plugins,
        drivers=graphics_drivers(),
        kernels=kernels,
    )
    choice = ProviderChoice(folder, manifest, machine, open_graph, unrounded)
    goldens = Goldens.of(folder / manifest.certificate.goldens) if manifest.certificate else None
    asked = candidates(manifest.graphs, provider, facts.build.providers, facts.build.version, plugins, kernels)
    timings = timed_forms(manifest.graphs, asked, timed)
    for found in asked:
        tried = timings.get(found.graph.file)
        if tried is not None and tried.outcome is TrialOutcome.ENDED:  # what a driver did there it would do here
            yield Trial(attempt=attempt_of(found, Outcome.FAILED, tried.reason, 0.0), timed=tried)  # it did load
            continue
        candidate = found.started
        if candidate.obstacle:
            yield Trial(attempt=attempt_of(candidate, Outcome.IMPOSSIBLE, candidate.obstacle))
        elif goldens is not None:
            session, attempt = choice.check(candidate, goldens, whole=True)
            tokens = goldens.tokens(candidate.graph)
            yield Trial(
                attempt=attempt,
                tokens_per_second=tokens / attempt.seconds if session and attempt.seconds else None,
                timed=tried,
                nodes=nodes_by_provider(ort, folder, candidate) if session else {},
            )
        else:
            yield _loaded(open_graph, candidate, nodes_by_provider(ort, folder, candidate))


def timed_forms(graphs: Sequence[Graph], found: Sequence[Candidate], timed: TrialRecord) -> dict[str, TrialResult]:
    """Each trial by the file that it ran: a graph's native form, where that can run."""
    able = {one.graph.file for one in found if not one.obstacle}
    native = {graph.file: graph.native.graph.file for graph in graphs if graph.native}
    ran = {file: form for file, form in native.items() if form in able}
    return {ran.get(result.graph, result.graph): result for result in timed.results}


def _loaded(open_graph: OpenGraph, candidate: Candidate, nodes: Mapping[str, int]) -> Trial:
    try:
        open_graph(candidate)
    except ArtifactError as error:
        return Trial(attempt=attempt_of(candidate, Outcome.FAILED, str(error)))
    reason = "loads; not checked, since the artifact has no goldens"
    return Trial(attempt=attempt_of(candidate, Outcome.UNCHECKED, reason), nodes=nodes)


def nodes_by_provider(ort: Any, folder: Path, candidate: Candidate) -> dict[str, int]:
    """How many nodes ONNX Runtime gives to each provider, by its own record; empty before 1.24."""
    graph = candidate.graph
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = graph.memory_pattern
    if candidate.kernels is not None:
        candidate.kernels.register(options, threads=1)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        providers = on_device(graph, candidate.device)
        session = open_session(ort, str(folder / graph.file), options, providers, candidate.plugin)
        assigned = session.get_provider_graph_assignment_info()
    except Exception:  # ONNX Runtime's exceptions share no base below Exception; an older one has no such method
        return {}
    counts: Counter[str] = Counter()
    for part in assigned:
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)
