"""Makes a bundle: the order of the steps, top to bottom. What each step does stands elsewhere."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from packaging.requirements import Requirement

from thinkport.deploy.bundle.archive import sha256_of, with_sums, write_archive
from thinkport.deploy.bundle.entries import artifact_entries, kernels_note, package_entries, scripts, slim_manifest
from thinkport.deploy.bundle.kernel_wheel import BUILD, put_kernel_wheel
from thinkport.deploy.bundle.platform import PLATFORMS, Platform
from thinkport.deploy.bundle.wheel import WheelSource, complete, put_own_wheel
from thinkport.deploy.targets import CPU, Target, entry_named, target
from thinkport.runtime.artifact.manifest import Manifest, check_files, read_manifest
from thinkport.runtime.artifact.manifest_seal import check_seal
from thinkport.runtime.errors import InputError

PYTHON = re.compile(r"3\.(1[1-9]|[2-9]\d)")
Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BundleSettings:
    """What a bundle is for. `wheels` is a folder that wheels are taken from, instead of pip's index.

    `kernels` is a folder with wheels of thinkport-kernels, or `build`, which compiles one with Zig; None leaves it out.
    """

    platform: str
    provider: str
    python: str = "3.12"
    wheels: Path | None = None
    kernels: Path | Literal["build"] | None = None

    def __post_init__(self) -> None:
        """Refuse a Python that thinkport doesn't run on."""
        if not PYTHON.fullmatch(self.python):
            raise InputError(f"--python is {self.python!r}, expected a version from 3.11 on, such as 3.12")
        if self.wheels is not None and not self.wheels.is_dir():
            raise InputError(f"--wheels: no folder at {self.wheels}")
        if isinstance(self.kernels, Path) and not self.kernels.is_dir():
            raise InputError(f"--kernels: no folder at {self.kernels}, expected a folder of wheels, build or none")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was written: its size in bytes and sha256, its wheels' names and versions, its graphs' files."""

    path: Path
    bytes: int
    sha256: str
    wheels: dict[str, str]
    graphs: list[str]


def make_bundle(
    artifact: Path, output: Path, settings: BundleSettings, *, force: bool = False, told: Told = lambda stage: None
) -> Bundle:
    """Write a ZIP that installs and runs an artifact on another system without a network.

    The same artifact, wheels and settings make the same bytes. `told` hears what is done next.

    Raises:
        InputError: settings that can't work together, or an output that is there already without `force`.
        ArtifactError: the artifact isn't whole.
        BundleError: wheels that can't be had or don't fit together.
        MissingExtraError: pip or hatchling is missing here.
    """
    if output.is_dir() or (output.exists() and not force):
        raise InputError(f"{output} is there already: name another file with -o, or give --force for a file")
    platform = entry_named(settings.platform, PLATFORMS, kind="platform")
    provider = target(settings.provider)
    manifest = read_manifest(artifact)
    _check_combination(platform, provider, manifest)
    native = frozenset(graph.native.operators for graph in manifest.graphs if graph.native)
    if settings.kernels is not None and not native:
        raise InputError(
            f"{manifest.name} has no native graph, so that kernels would never run: leave --kernels out, or export it "
            "with a recipe that rounds activations, such as the default one"
        )
    told("Checking the artifact")
    check_seal(artifact)
    check_files(artifact, manifest, verify=True)
    slim = slim_manifest(manifest, {provider.name, CPU.name})
    with TemporaryDirectory() as held:
        folder = Path(held)
        told("Collecting wheels")
        put_own_wheel(folder, settings.wheels)
        source = WheelSource(platform=platform, python=settings.python, folder=settings.wheels)
        roots = [Requirement(f"thinkport[{provider.name},server]")]
        if settings.kernels is not None:
            told("Compiling kernels, which takes minutes" if settings.kernels == BUILD else "Taking kernels")
            roots.append(put_kernel_wheel(folder, platform, settings.kernels, native))
        wheels = complete(roots, folder, platform.environment(settings.python), source.fetch)
        note = kernels_note(platform, inside=settings.kernels is not None) if native else ""
        words = {"NAME": manifest.name, "PROVIDER": provider.name, "PYTHON": settings.python, "KERNELS": note}
        texts = scripts(platform, **words)
        entries = {**artifact_entries(artifact, slim), **package_entries(wheels, slim), **texts}
        told("Writing the bundle")
        write_archive(with_sums(entries), output)
    return Bundle(
        path=output,
        bytes=output.stat().st_size,
        sha256=sha256_of(output),
        wheels={name: str(wheel.version) for name, wheel in wheels.items()},
        graphs=[graph.file for graph in slim.graphs],
    )


def _check_combination(platform: Platform, target: Target, manifest: Manifest) -> None:
    if reason := target.impossible.get(platform.name):
        raise InputError(f"a bundle for {platform.name} with {target.name} can't work: {reason}")
    graphs = {graph.target for graph in manifest.graphs}
    if target.name not in graphs:
        raise InputError(
            f"{manifest.name} has no graph for {target.name}, only for {', '.join(sorted(graphs))}: export it again "
            f"with --target {target.name}"
        )
