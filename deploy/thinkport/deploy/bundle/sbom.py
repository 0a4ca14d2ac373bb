"""The list of what a bundle is made of, as CycloneDX 1.6 JSON (https://cyclonedx.org/docs/1.6/json/)."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from thinkport.deploy.bundle.wheel import Wheel
from thinkport.runtime.artifact.manifest import Manifest


def sbom_text(name: str, manifest: Manifest, wheels: Mapping[str, Wheel], hashes: Mapping[str, str]) -> str:
    """The document; its serial number is made of its content, so that the same bundle has the same."""
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
    source = (
        manifest.source.id if manifest.source.revision is None else f"{manifest.source.id}@{manifest.source.revision}"
    )
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
