"""What stands in a bundle: an artifact with the graphs of some targets, wheels and their licences, lists, and scripts.

Files that stay as they are are not copied. The list of parts is CycloneDX (https://cyclonedx.org/docs/1.6/json/); the
scripts and the README are templates with a few words put in.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from thinkport.deploy.bundle.archive import Entry, sha256_of
from thinkport.deploy.bundle.platform import Platform
from thinkport.deploy.bundle.wheel import Wheel
from thinkport.deploy.genai_files import genai_graph_name, overlay_name
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Graph, Manifest
from thinkport.runtime.artifact.manifest_seal import OPEN, sealed
from thinkport.runtime.providers.kernels import PACKAGE


def slim_manifest(manifest: Manifest, targets: Collection[str]) -> Manifest:
    """The manifest with the graphs of these targets, their figures, and the files that are still used."""
    return with_graphs(manifest, [graph for graph in manifest.graphs if graph.target in targets])


def with_graphs(manifest: Manifest, graphs: list[Graph]) -> Manifest:
    """The manifest with these of its graphs, their figures, and the files that are still used."""
    kept = {name for graph in graphs for name in _files_of(graph)}
    dropped = {name for graph in manifest.graphs for name in _files_of(graph)} - kept
    certificate = manifest.certificate
    if certificate is not None:
        kept_figures = {
            kind: [figure for figure in found if figure.graph not in dropped]
            for kind in ("figures", "vectors", "scores")
            if (found := getattr(certificate, kind)) is not None
        }
        certificate = certificate.model_copy(update=kept_figures)
    files = {name: record for name, record in manifest.files.items() if name not in dropped}
    return manifest.model_copy(
        update={"graphs": graphs, "files": files, "certificate": certificate, "manifest_sha256": OPEN}
    )


def artifact_entries(folder: Path, manifest: Manifest) -> dict[str, Entry]:
    """The files of an artifact that a manifest lists, and that manifest."""
    entries: dict[str, Entry] = {f"artifact/{name}": folder / name for name in manifest.files}
    return {**entries, f"artifact/{MANIFEST_NAME}": sealed_text(manifest)}


def sealed_text(manifest: Manifest) -> bytes:
    """A manifest's file, with its own hash."""
    return sealed((json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode())


def package_entries(wheels: Mapping[str, Wheel], manifest: Manifest) -> dict[str, Entry]:
    """The wheels, their licences, their list for pip and the list of all that the bundle is made of."""
    hashes = {wheel.path.name: sha256_of(wheel.path) for wheel in wheels.values()}
    entries: dict[str, Entry] = {f"wheels/{wheel.path.name}": wheel.path for wheel in wheels.values()}
    for wheel in wheels.values():
        entries |= {f"LICENSES/{name}": text for name, text in wheel.legal_files().items()}
    lines = (f"{name}=={one.version} --hash=sha256:{hashes[one.path.name]}\n" for name, one in sorted(wheels.items()))
    entries["requirements.txt"] = "".join(lines).encode()  # as `pip install --require-hashes` takes it
    entries["sbom.cdx.json"] = _sbom(manifest, wheels, hashes).encode()
    return entries


def scripts(platform: Platform, **words: str) -> dict[str, bytes]:
    """Names and contents of the scripts for a platform, README.txt included; `words` are put in for @WORDS@."""
    templates = files("thinkport.deploy.bundle") / "templates"
    own = templates / ("windows" if platform.windows else "posix")
    words |= {"PLATFORM": platform.name, "MACHINE": platform.platform_machine, "WHEELS": platform.name}
    words |= {"INSTALL": "sh install.sh", "START": "sh chat.sh, or sh serve.sh for a server on this machine"}
    if platform.windows:
        words["INSTALL"] = "Double-click install.cmd, or run it in a terminal."
        words["START"] = "Run chat.cmd, or serve.cmd for a server on this machine."
    found = {}
    for file in sorted([templates / "README.txt", *own.iterdir()], key=lambda file: file.name):
        text = file.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(f"@{word}@", value)
        found[file.name] = text.replace("\n", "\r\n" if platform.windows else "\n").encode()
    return found


def kernels_note(platform: Platform, *, inside: bool) -> str:
    """What the README says of thinkport's own kernels."""
    if inside:
        return f"The CPU runs {PACKAGE}, if it is right there: the doctor says so.\n\n"
    python = r".venv\Scripts\python.exe" if platform.windows else ".venv/bin/python"
    return (
        f"{PACKAGE}, which is faster on the CPU, is not inside: ONNX Runtime's own kernels run. To add it, make the\n"
        f"bundle again with --kernels, or put the package's wheel for {platform.name} here after step 3 and run\n"
        f"    {python} -m pip install --no-index FILE.whl\n\n"
    )


def _files_of(graph: Graph) -> Iterator[str]:
    yield graph.file
    yield genai_graph_name(graph.file)
    yield overlay_name(graph.file)
    if graph.native is not None:
        yield graph.native.graph.file


def _sbom(manifest: Manifest, wheels: Mapping[str, Wheel], hashes: Mapping[str, str]) -> str:
    """CycloneDX 1.6 JSON; its serial number is made of its content, so that the same bundle has the same."""
    name = manifest.name
    components = [_model(manifest), *(_library(wheel, hashes[wheel.path.name]) for _, wheel in sorted(wheels.items()))]
    serial = uuid5(NAMESPACE_URL, json.dumps([name, components], sort_keys=True))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name}},
        "components": components,
    }
    return json.dumps(document, indent=2) + "\n"


def _model(manifest: Manifest) -> dict[str, Any]:
    source = "@".join(filter(None, (manifest.source.id, manifest.source.revision)))
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{manifest.name}",
        "name": manifest.name,
        "description": f"made of {source}; its licence stands in artifact/README.md",
    }


def _library(wheel: Wheel, sha256: str) -> dict[str, Any]:
    address = f"pkg:pypi/{wheel.name}@{wheel.version}"
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": address,
        "name": wheel.name,
        "version": str(wheel.version),
        "purl": address,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
    if wheel.metadata["License-Expression"]:
        entry["licenses"] = [{"expression": wheel.metadata["License-Expression"]}]
    elif wheel.licence:
        entry["licenses"] = [{"license": {"name": wheel.licence}}]
    return entry
