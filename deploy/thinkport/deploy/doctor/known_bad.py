"""Versions of packages that are known to go wrong, each with its source. Knows no machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from thinkport.deploy.doctor.finding import Finding, Severity
from thinkport.runtime.extras import install_line


@dataclass(frozen=True, kw_only=True)
class KnownBad:
    """Releases of a package; `versions` is a specifier of them, as pip takes it."""

    package: str
    versions: str
    severity: Severity
    sentence: str
    todo: str


KNOWN_BAD = (
    KnownBad(  # measured: the session loads and fails in its first step; 1.24 refuses it, 1.27 runs it
        package="onnxruntime",
        versions=">=1.24,<1.27",
        severity=Severity.WARNING,
        sentence="it can't run an int8 KV cache: the slower graph with a float32 cache is taken",
        todo=install_line("cpu"),
    ),
    KnownBad(  # measured with 1.24.4, the last release; the CPU's int8 cache came in pull requests 28576 and 28578
        package="onnxruntime-directml",
        versions=">=1.24",
        severity=Severity.NOTE,
        sentence="its CPU provider can't run an int8 KV cache: the CPU takes the slower graph with a float32 cache",
        todo=f"where DirectML is not wanted: pip uninstall onnxruntime-directml, then {install_line('cpu')}",
    ),
    KnownBad(  # its metadata: it asks for onnxruntime-directml 1.26 or newer, and 1.24.4 is the last
        package="onnxruntime-genai-directml",
        versions=">=0.14",
        severity=Severity.WARNING,
        sentence="the onnxruntime-directml that it needs was never released",
        todo="pip uninstall onnxruntime-genai-directml, and take onnxruntime-genai-winml in its place",
    ),
    KnownBad(  # measured with 0.18
        package="onnxruntime-genai-winml",
        versions=">=0.18",
        severity=Severity.NOTE,
        sentence="loading a model in it can hang while it sends telemetry",
        todo="set ORT_DISABLE_TELEMETRY=1 for programs that use it",
    ),
)


def known_bad(installed: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for each of the installed distributions, name to version, that is on the list."""
    for entry in KNOWN_BAD:
        version = installed.get(entry.package)
        if version is not None and SpecifierSet(entry.versions).contains(version, prereleases=True):
            yield Finding(
                code="known-bad",
                severity=entry.severity,
                sentence=f"{entry.package} {version}: {entry.sentence}",
                todo=entry.todo,
            )
