"""The verb `bundle`. What it calls is imported when it runs."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from thinkport.deploy.bundle.platform import PLATFORMS
from thinkport.deploy.targets import TARGETS
from thinkport.runtime.cli.cli_options import Artifact
from thinkport.runtime.errors import InputError


def bundle(
    artifact: Artifact,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.zip",
            help="The file to write; with --sidecar, the folder.",
            show_default=False,
        ),
    ],
    platform: Annotated[
        str | None, typer.Option(metavar="|".join(PLATFORMS), help="The system that it is for.", show_default=False)
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(metavar="|".join(TARGETS), help="What it runs on; the CPU is its fallback.", show_default=False),
    ] = None,
    python: Annotated[str, typer.Option(metavar="3.12", help="CPython that is installed there.")] = "3.12",
    wheels: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take wheels from this folder only.", show_default="pip's index")
    ] = None,
    kernels: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|build|none",
            help="thinkport's own kernels for the CPU: from a folder of their wheels, or compiled now, with Zig.",
            show_default="none",
        ),
    ] = None,
    sidecar: Annotated[
        bool,
        typer.Option(
            "--sidecar",
            help="Build a folder instead, for this system, with a server that needs no Python: for an app to start.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Pack an artifact, all wheels for one system, and scripts into a ZIP that installs there without a network.

    The same artifact, wheels and options make the same bytes.

    Ends with 0,
    1 where a wheel can't be had or requirements contradict one another,
    2 for a combination that can't work,
    3 where the artifact isn't whole,
    4 where a package is missing here.
    """
    if sidecar:
        _build_sidecar(artifact, output, (platform, provider, wheels, kernels), force=force, as_json=as_json)
        return
    if platform is None or provider is None:
        raise InputError("a bundle is for a system and a provider: give --platform and --provider, or --sidecar")
    from thinkport.deploy.bundle import BundleSettings, make_bundle

    settings = BundleSettings(
        platform=platform, provider=provider, python=python, wheels=wheels, kernels=_kernels(kernels)
    )
    made = make_bundle(artifact, output, settings, force=force, told=_tell)
    said = f"{made.path}  {made.bytes / 1e6:.1f} MB, {len(made.wheels)} wheels, {', '.join(made.graphs)}"
    _write({**vars(made), "path": str(made.path)}, f"{said}\nsha256 {made.sha256}", as_json=as_json)


def _kernels(asked: str | None) -> Path | Literal["build"] | None:
    if asked == "build":
        return "build"
    return None if asked in (None, "none") else Path(asked)


def _build_sidecar(artifact: Path, output: Path, others: tuple[object, ...], *, force: bool, as_json: bool) -> None:
    if any(other is not None for other in others):
        raise InputError(
            "a sidecar is for this system and what is installed here, kernels included: leave the other options out"
        )
    from thinkport.deploy.sidecar.build import build_sidecar

    _tell("building the program, which takes a minute or two")
    made = build_sidecar(artifact, output, force=force)
    facts = {"path": str(made.folder), "program": str(made.program), "bytes": made.bytes}
    _write(facts, f"{made.folder}  {made.bytes / 1e6:.1f} MB\n{made.program}", as_json=as_json)


def _write(facts: dict[str, object], said: str, *, as_json: bool) -> None:
    sys.stdout.write((json.dumps(facts, indent=2) if as_json else said) + "\n")


def _tell(stage: str) -> None:
    sys.stderr.write(f"{stage}\n")
