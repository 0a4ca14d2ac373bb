"""Something like an artifact: files that belong together, and a manifest that lists them, written last."""

import json
from pathlib import Path

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Manifest

SAMPLE = Path(__file__).parents[2] / "contract" / "manifest.json"


def fill(folder: Path, content: str) -> None:
    """Every file of the sample manifest, each saying `content`, which is the manifest's name too."""
    manifest = Manifest.model_validate(json.loads(SAMPLE.read_bytes()))
    for name in manifest.files:
        (folder / name).write_text(content, encoding="utf-8")
    named = manifest.model_copy(update={"name": content})
    (folder / MANIFEST_NAME).write_text(named.model_dump_json(), encoding="utf-8")


def content_of(folder: Path) -> str:
    """What all files of a whole folder say."""
    manifest = Manifest.model_validate(json.loads((folder / MANIFEST_NAME).read_bytes()))
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name != MANIFEST_NAME}
    assert set(found) == set(manifest.files)
    assert set(found.values()) == {manifest.name}
    return manifest.name
