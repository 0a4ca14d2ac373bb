"""The manifest is the contract between the parts: a sample and its JSON schema are pinned to committed files.

A change of the schema shows up as a change of `manifest.schema.json`; one that an older reader can't take raises
`schema_version`. To write the file anew: `python tests/contract/test_manifest.py`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, SCHEMA_VERSION, Manifest, read_manifest
from thinkport.runtime.errors import ArtifactError

HERE = Path(__file__).parent
SAMPLE = HERE / "manifest.json"
SCHEMA = HERE / "manifest.schema.json"


def schema_text() -> str:
    return json.dumps(Manifest.model_json_schema(), indent=2) + "\n"


def changed(folder: Path, **keys: object) -> Path:
    raw: dict[str, Any] = json.loads(SAMPLE.read_bytes())
    (folder / MANIFEST_NAME).write_text(json.dumps(raw | keys), encoding="utf-8")
    return folder


def test_the_schema_is_the_committed_one() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()


def test_the_sample_is_read_and_written_back_unchanged(tmp_path: Path) -> None:
    shutil.copy(SAMPLE, tmp_path / MANIFEST_NAME)
    assert read_manifest(tmp_path).model_dump(mode="json") == json.loads(SAMPLE.read_bytes())


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="surprise"):
        read_manifest(changed(tmp_path, surprise=1))


def test_a_missing_key_is_refused_by_name(tmp_path: Path) -> None:
    raw = json.loads(SAMPLE.read_bytes())
    del raw["stop_ids"]
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ArtifactError, match="stop_ids"):
        read_manifest(tmp_path)


def test_a_newer_schema_asks_for_a_newer_program(tmp_path: Path) -> None:
    newer = SCHEMA_VERSION + 1
    with pytest.raises(ArtifactError, match=f"schema version {newer}.*upgrade thinkport"):
        read_manifest(changed(tmp_path, schema_version=newer, surprise=1))


@pytest.mark.parametrize(
    "name", ["../weights.bin", "/etc/passwd", "a/../../b", "C:\\windows", "C:weights.bin", "..\\b", ""]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    files = {name: {"bytes": 1, "sha256": "0" * 64}}
    with pytest.raises(ArtifactError, match="leads out"):
        read_manifest(changed(tmp_path, files=files))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "not-listed"])
@pytest.mark.parametrize("place", ["tokenizer", "chat_template", "graphs.0.file", "certificate.goldens"])
def test_a_file_that_is_used_is_one_of_the_files(tmp_path: Path, place: str, name: str) -> None:
    raw: dict[str, Any] = json.loads(SAMPLE.read_bytes())
    *parents, key = place.split(".")
    holder: Any = raw
    for parent in parents:
        holder = holder[int(parent) if parent.isdigit() else parent]
    holder[key] = name
    with pytest.raises(ArtifactError, match=f"{place}: '{name}' is not among"):
        read_manifest(changed(tmp_path, **raw))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": true}', '"thinkport"'])
def test_what_is_no_manifest_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError):
        read_manifest(tmp_path)


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
