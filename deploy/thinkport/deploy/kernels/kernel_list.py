"""A provider's kernels and its operators' schemas in one version of ONNX Runtime, as data with its source.

Knows the JSON files beside it and how ONNX Runtime looks a kernel up. Knows nothing of graphs, and imports no
ONNX Runtime: the lists hold for versions that are not installed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packaging.version import Version

from thinkport.deploy.targets import TARGETS
from thinkport.runtime.errors import InputError

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True)
class Formal:
    """One input or output of a schema: `type` is a variable (`T`) or a type (`tensor(int64)`)."""

    name: str
    type: str
    optional: bool
    variadic: bool
    homogeneous: bool


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What one version of an operator takes; `attributes` maps each name to whether it must be there."""

    since: int
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    attributes: Mapping[str, bool]

    def input(self, index: int) -> Formal | None:
        """The formal parameter of an input; the last one of a variadic operator stands for all that follow."""
        return _formal_at(self.inputs, index)

    def output(self, index: int) -> Formal | None:
        """The formal parameter of an output."""
        return _formal_at(self.outputs, index)


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel for the operator's versions from `first` to `last`; `types` are the dtypes that a variable may have."""

    first: int
    last: int | None
    types: Mapping[str, frozenset[str]]

    def covers(self, since: int) -> bool:
        """Whether it runs that version: a kernel without a last one runs its first alone (`kernel_registry.cc`)."""
        return self.first == since or (self.last is not None and self.first <= since <= self.last)


@dataclass(frozen=True, kw_only=True)
class KernelList:
    """What a provider has in `version` of ONNX Runtime, by operator (`com.microsoft.MatMulNBits`).

    `plugin` is the version of a provider's own package, where it comes beside the ordinary build.
    """

    target: str
    provider: str
    package: str
    version: str
    source: str
    kernels: Mapping[str, tuple[Kernel, ...]]
    schemas: Mapping[str, Mapping[int, Schema]]
    plugin: str | None = None

    @property
    def build(self) -> str:
        """The package and its version in words."""
        beside = f"{self.package} {self.plugin} with ONNX Runtime {self.version}"
        return beside if self.plugin else f"{self.package} {self.version}"

    def schema(self, domain: str, op: str, opset: int) -> Schema | None:
        """The schema that a graph of that opset gets, None where this version of ONNX Runtime has none."""
        versions = self.schemas.get(key(domain, op), {})
        return versions.get(max((since for since in versions if since <= opset), default=0))

    def of(self, domain: str, op: str) -> tuple[Kernel, ...]:
        """The operator's kernels, of every version."""
        return self.kernels.get(key(domain, op), ())


def key(domain: str, op: str) -> str:
    """How the lists name an operator."""
    return f"{domain}.{op}" if domain not in ("", "ai.onnx") else op


def versions(target: str) -> list[str]:
    """The versions whose kernels are known for a target, oldest first."""
    return sorted((path.stem.removeprefix(f"{target}-") for path in DATA.glob(f"{target}-*.json")), key=Version)


def kernel_list(target: str, version: str | None = None) -> KernelList:
    """A target's kernels in `version`, else in the newest known one before it; without a version, in the oldest known.

    Raises:
        InputError: no list for that target, or none as old as that version.
    """
    known = versions(target) if target in TARGETS else []
    if not known:
        raise InputError(f"no kernel list for target {target!r}, expected one of: {', '.join(TARGETS)}")
    if version is None:
        return _read(target, known[0])
    wanted = Version(version).release
    suitable = [entry for entry in known if Version(entry).release[: len(wanted)] <= wanted]
    if not suitable:
        raise InputError(f"kernels of ONNX Runtime {version} are not known for {target}: the oldest are {known[0]}'s")
    return _read(target, suitable[-1])


@cache
def _read(target: str, version: str) -> KernelList:
    content = json.loads((DATA / f"{target}-{version}.json").read_text("utf-8"))
    sets = [frozenset(kinds.split()) for kinds in content.pop("types")]
    kernels = {
        name: tuple(
            Kernel(first=first, last=last, types={variable: sets[at] for variable, at in types.items()})
            for first, last, types in rows
        )
        for name, rows in content.pop("kernels").items()
    }
    return KernelList(**content, kernels=kernels, schemas=_schemas(version))


@cache
def _schemas(version: str) -> Mapping[str, Mapping[int, Schema]]:
    content = json.loads((DATA / f"schemas-{version}.json").read_text("utf-8"))
    return {
        name: {int(since): _schema(int(since), entry) for since, entry in entries.items()}
        for name, entries in content["schemas"].items()
    }


def _schema(since: int, entry: dict[str, Any]) -> Schema:
    return Schema(
        since=since,
        inputs=tuple(map(_formal, entry["in"])),
        outputs=tuple(map(_formal, entry["out"])),
        attributes={name.rstrip("!"): name.endswith("!") for name in entry["attributes"]},
    )


def _formal(text: str) -> Formal:
    name, _, kind = text.partition(":")
    plain = kind.rstrip("?*~")
    marks = kind[len(plain) :]
    return Formal(name=name, type=plain, optional="?" in marks, variadic="*" in marks, homogeneous="~" not in marks)


def _formal_at(formals: tuple[Formal, ...], index: int) -> Formal | None:
    if index < len(formals):
        return formals[index]
    return formals[-1] if formals and formals[-1].variadic else None
