"""The last stage of an export: the files that follow from the manifest, and the manifest itself, written last.

Knows the folder's layout. Must not know how the graph or the weights were made.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkport.deploy.genai_files import overlay_name
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.licence import licence_id
from thinkport.export.checkpoint.tokenizer_files import id_of, stop_tokens
from thinkport.export.write.genai_config import genai_config, genai_overlay
from thinkport.export.write.model_card import CARD_NAME, model_card
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, FileRecord, Manifest, hash_file, read_manifest
from thinkport.runtime.artifact.manifest_seal import OPEN, sealed

GENAI_CONFIG = "genai_config.json"


def finish_artifact(
    folder: Path, manifest: Manifest, checkpoint: Checkpoint, genai_type: str | None, known: Mapping[str, FileRecord]
) -> Manifest:
    """Write genai_config.json, its overlays, the model card and `thinkport.json`; return the whole manifest.

    An artifact that embeds gets none of onnxruntime-genai's files. `genai_type` is onnxruntime-genai's name for the
    family; None if it is the family's own. `known` are the files that were hashed while they were written; the others
    are hashed here. Every other file is on the disk before the manifest is.
    """
    if manifest.embedding is None:  # that runtime samples from logits
        pad_id, bos_id = (id_of(name, checkpoint) for name in ("pad_token_id", "bos_token_id"))
        config = genai_config(manifest, pad_id=pad_id, bos_id=bos_id, model_type=genai_type)
        _write_json(folder / GENAI_CONFIG, config)
        for graph in manifest.graphs[1:]:
            _write_json(folder / overlay_name(graph.file), genai_overlay(graph))
    manifest = manifest.model_copy(update={"files": _records(folder, known)})
    card = model_card(manifest, license_id=licence_id(checkpoint.folder), stops=stop_tokens(checkpoint))
    (folder / CARD_NAME).write_text(card, encoding="utf-8", newline="\n")
    manifest = manifest.model_copy(update={"files": _records(folder, manifest.files)})
    for path in folder.iterdir():
        _sync(path)
    manifest = manifest.model_copy(update={"manifest_sha256": OPEN})
    (folder / MANIFEST_NAME).write_bytes(sealed(_json(manifest.model_dump(mode="json")).encode()))
    _sync(folder / MANIFEST_NAME)
    return read_manifest(folder)


def _records(folder: Path, known: Mapping[str, FileRecord]) -> dict[str, FileRecord]:
    return {
        path.name: known.get(path.name) or FileRecord(bytes=path.stat().st_size, sha256=hash_file(path))
        for path in sorted(folder.iterdir())
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(_json(content), encoding="utf-8", newline="\n")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _sync(path: Path) -> None:
    """Flush a file to the disk: a power cut must not leave a manifest of bytes that were never written."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
