"""What the doctor finds wrong with a machine and with an artifact on it, in words, with what to do about it.

Knows the versions of packages that are known to go wrong, each with its source.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from packaging.specifiers import SpecifierSet

from thinkport.deploy.doctor.machine_facts import MachineFacts
from thinkport.deploy.targets import CPU, TARGETS
from thinkport.runtime.extras import install_line, installs_here, uninstall_line
from thinkport.runtime.providers.ort import clash_of
from thinkport.runtime.providers.provider_report import Attempt, Outcome


class Severity(StrEnum):
    """How bad a finding is; the worst decides the exit code."""

    FINE = "fine"
    NOTE = "note"  # worth knowing; nothing has to be done
    WARNING = "warning"  # it runs, but slower or less surely than it could
    ERROR = "error"  # it does not run, or says the wrong thing


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding: a stable code for programs, a sentence for people, and what to do, None where nothing is."""

    code: str
    severity: Severity
    sentence: str
    todo: str | None = None


_error, _warning, _note = (partial(Finding, severity=one) for one in (Severity.ERROR, Severity.WARNING, Severity.NOTE))

# A package, a specifier of its releases as pip takes it, what is wrong with them, how badly, and what to do.
KNOWN_BAD = (
    (  # measured: the session loads and fails in its first step; 1.24 refuses it, 1.27 runs it
        "onnxruntime",
        ">=1.24,<1.27",
        "it can't run an int8 KV cache: the slower graph with a float32 cache is taken",
        Severity.WARNING,
        install_line("cpu"),
    ),
    (  # measured with 1.24.4, the last release; the CPU's int8 cache came in pull requests 28576 and 28578
        "onnxruntime-directml",
        ">=1.24",
        "its CPU provider can't run an int8 KV cache: the CPU takes the slower graph with a float32 cache",
        Severity.NOTE,
        f"where DirectML is not wanted: {uninstall_line('onnxruntime-directml')}, then {install_line('cpu')}",
    ),
    (  # its metadata: it asks for onnxruntime-directml 1.26 or newer, and 1.24.4 is the last
        "onnxruntime-genai-directml",
        ">=0.14",
        "the onnxruntime-directml that it needs was never released",
        Severity.WARNING,
        f"{uninstall_line('onnxruntime-genai-directml')}, then pip install onnxruntime-genai-winml",
    ),
    (  # measured with 0.18
        "onnxruntime-genai-winml",
        ">=0.18",
        "loading a model in it can hang while it sends telemetry",
        Severity.NOTE,
        "set ORT_DISABLE_TELEMETRY=1 for programs that use it",
    ),
)


def machine_findings(facts: MachineFacts) -> Iterator[Finding]:
    """What is wrong with a machine."""
    clash = clash_of(facts.builds)
    if clash:
        yield _error(
            code="clashing-builds",
            sentence=f"{clash.partition(': ')[0]}. What is imported is {facts.build or 'broken'}.",
            todo=f"{clash.partition(': ')[2]}, then install one: {install_line(_extra_of(facts.builds))}",
        )
    installed = {**facts.packages, **({} if clash else facts.builds)}
    for package, specifier, wrong, severity, todo in KNOWN_BAD:
        version = installed.get(package)
        if version is not None and SpecifierSet(specifier).contains(version, prereleases=True):
            yield Finding(code="known-bad", severity=severity, sentence=f"{package} {version}: {wrong}", todo=todo)
    if facts.build is None:
        yield _error(
            code="no-onnxruntime",
            sentence=facts.import_error or "no ONNX Runtime is installed",
            todo=install_line(CPU.name),
        )
    if facts.missing:
        yield _warning(
            code="missing-libraries",
            sentence=f"{facts.build} lacks libraries for its accelerators: {facts.missing}",
            todo=f"install the device's driver and {install_line(_extra_of(facts.builds))}",
        )
    for plugin in facts.plugins:
        needs = plugin.needs or next((device.needs for device in plugin.devices if device.needs), None)
        if plugin.version is not None and needs:
            # A machine without a graphics device is in order; a plugin that can't be used on one that has it is not.
            lack, _, cure = needs.rpartition(": ")
            finding = _note if plugin.loaded and not (plugin.devices or facts.devices) else _warning
            yield finding(
                code="plugin-unusable",
                sentence=f"{plugin.distribution} {plugin.version} {lack or cure}",
                todo=cure if lack else "update the device's driver",
            )
    accelerated = [entry.name for entry in TARGETS.values() if entry.accelerated and installs_here(entry.name)]
    plugged = any(not one.software and one.needs is None for plugin in facts.plugins for one in plugin.devices)
    if facts.devices and facts.build and not plugged and not any(map(_accelerates, facts.build.providers)):
        yield _note(
            code="unused-device",
            sentence=f"{', '.join(map(str, facts.devices))} is there, and {facts.build} uses the CPU only",
            todo=f"see the extras {' and '.join(accelerated)}: {uninstall_line(*facts.builds)} first",
        )
    free = facts.hardware.memory_free
    if free < 1 << 30:
        yield _warning(
            code="little-memory",
            sentence=f"{free / 2**30:.1f} GiB of memory are free",
            todo="close other programs, or use a smaller model",
        )


def artifact_findings(attempts: Sequence[Attempt]) -> Iterator[Finding]:
    """What is wrong with an artifact's graphs on a machine."""
    for one in attempts:
        if one.outcome is Outcome.WRONG:
            yield Finding(
                code="wrong-logits",
                severity=Severity.WARNING if _accelerates(one.provider) else Severity.ERROR,
                sentence=str(one),
                todo="a load takes the next graph; update the driver or ONNX Runtime and ask the doctor again",
            )
        elif one.outcome is Outcome.FAILED:
            todo = "install the driver and libraries of the provider, or copy the artifact again"
            if one.ran:
                todo = "update the device's driver, or export the artifact again if an older thinkport did it"
            elif one.device is not None:
                todo = f"is there a device {one.device}? give another number, or none for the first device"
            yield _warning(code="graph-failed", sentence=str(one), todo=todo)
        elif one.outcome is Outcome.UNCHECKED:
            yield _note(code="no-goldens", sentence=str(one), todo="export with its certificate")
    if attempts and all(one.outcome in (Outcome.IMPOSSIBLE, Outcome.FAILED, Outcome.WRONG) for one in attempts):
        asked = any(one.provider == CPU.providers[0] for one in attempts)  # otherwise a card's graphs alone were named
        yield _error(
            code="nothing-runs",
            sentence=f"no graph {'of the artifact' if asked else 'for that provider'} can be used here",
            todo=f"upgrade ONNX Runtime: {install_line(CPU.name)}"
            if asked
            else "name no provider, or export the artifact with --target cpu too",
        )


def _accelerates(provider: str) -> bool:
    return any(provider == entry.providers[0] for entry in TARGETS.values() if entry.accelerated)


def _extra_of(builds: Mapping[str, str]) -> str:
    """The extra of the most capable of the installed builds: that of the last target in the table that names one."""
    found = [entry.name for entry in TARGETS.values() if set(entry.packages) & set(builds)]
    return found[-1] if found else CPU.name
