"""The trial of one graph, as the process that is made for it runs it: held against its goldens, then timed."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from thinkport.runtime.artifact.manifest import Manifest, read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.providers.devices import Device
from thinkport.runtime.providers.graph_check import Goldens
from thinkport.runtime.providers.graph_speed import graph_speed
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import (
    AUTO,
    CPU,
    Candidate,
    build_of,
    candidates,
    import_onnxruntime,
    load_libraries,
)
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.provider_choice import Machine, ProviderChoice
from thinkport.runtime.providers.provider_report import Outcome
from thinkport.runtime.providers.trial_record import TrialOutcome, TrialResult
from thinkport.runtime.providers.unrounded import open_unrounded


def try_graph(folder: Path, file: str) -> TrialResult:
    """Load a graph of an artifact that has goldens, check it, remember the verdict, and time it.

    Raises:
        ArtifactError: the artifact is not whole.
    """
    manifest = read_manifest(folder)
    ort = import_onnxruntime()
    kernels = Kernels.here()
    machine = Machine.here(build_of(ort), missing=load_libraries(ort), plugins=Plugins(ort), kernels=kernels)

    def open_graph(one: Candidate) -> Session:
        return Session(ort, folder, one.graph, manifest.model, None, lambda: None, *one.place)

    graphs = [graph for graph in manifest.graphs if graph.file == file]  # for the CPU's no plugin is even loaded
    build = machine.build
    found = candidates(graphs, AUTO, build.providers, build.version, machine.plugins, kernels)
    candidate = found[0].started  # the native form, where it can run
    told: dict[str, Any] = {"graph": file, "provider": candidate.graph.providers[0]}
    if candidate.plugin is not None:
        told["device"] = str(candidate.plugin)
    elsewhere = candidate.graph.providers[0] != CPU
    obstacle = candidate.obstacle
    if elsewhere and not obstacle:
        obstacle = too_large(manifest, machine.devices, told.get("device", ""))
    if obstacle:
        absent = candidate.brought and candidate.plugin is None
        return TrialResult(outcome=TrialOutcome.IMPOSSIBLE, reason=obstacle, absent=absent, **told)
    assert manifest.certificate is not None, "an artifact without goldens has no trials"

    def unrounded(one: Candidate) -> closing[Session]:
        return open_unrounded(ort, folder, one, manifest.model)

    choice = ProviderChoice(folder, manifest, machine, open_graph, unrounded)
    session, attempt = choice.check(candidate, Goldens.of(folder / manifest.certificate.goldens))
    if session is None:
        missing = attempt.outcome is Outcome.FAILED and not attempt.ran
        outcome = TrialOutcome.IMPOSSIBLE if missing else TrialOutcome.WRONG
        return TrialResult(outcome=outcome, reason=attempt.reason, **told)
    try:
        prefill, decode = graph_speed(session)
    except ArtifactError as error:
        return TrialResult(outcome=TrialOutcome.WRONG, reason=str(error), **told)
    return TrialResult(
        outcome=TrialOutcome.RIGHT,
        reason=attempt.reason,
        prefill=prefill.tokens_per_second,
        decode=decode.tokens_per_second,
        **told,
    )


def too_large(manifest: Manifest, devices: Sequence[Device], name: str) -> str | None:
    """Why a device can't hold an artifact's weights, None where it can or its memory isn't known.

    A device may also use half of the computer's memory: Direct3D's limit of what both share (Microsoft's "Calculating
    graphics memory"). `name` is what a plugin calls the device; without one it is the first of the system's.
    """
    named = [device for device in devices if device.name in name] if name else list(devices[:1])
    memory = next((device.memory for device in named), None)
    if memory is None:
        return None
    weights, most = max(file.bytes for file in manifest.files.values()), memory + psutil.virtual_memory().total // 2
    if weights <= most:
        return None
    return f"needs {weights / 1e9:.1f} GB for its weights, and {named[0]} can have {most / 1e9:.1f} GB"
