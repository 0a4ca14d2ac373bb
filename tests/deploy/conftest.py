"""A small artifact that was never exported: a whole manifest and files of the recorded bytes."""

from pathlib import Path

import pytest

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Manifest

SAMPLE = Path(__file__).parents[1] / "contract" / "manifest.json"


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate_json(SAMPLE.read_bytes())


@pytest.fixture
def artifact(tmp_path: Path, manifest: Manifest) -> Path:
    folder = tmp_path / "artifact"
    folder.mkdir()
    for name in manifest.files:
        (folder / name).write_bytes(f"stand-in for {name}\n".encode())
    (folder / MANIFEST_NAME).write_bytes(SAMPLE.read_bytes())
    return folder
