"""What `--force` may delete: artifacts, and of them nothing that an export did not write.

A manifest is no proof of that, since anybody may list anything in one: names and contents count too.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from thinkport.export.errors import OutputError
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileRecord, hash_file, read_manifest
from thinkport.runtime.artifact.manifest_seal import check_seal
from thinkport.runtime.errors import ArtifactError

_HASHED = 64 << 20  # bytes of a file that is hashed before it is deleted
# Every name that an export has ever written.
_WRITTEN = re.compile(
    r"[\w.-]+\.onnx|weights[\w-]*\.bin|(tokenizer|tokenizer_config|generation_config|config|genai_config)\.json"
    r"|genai_overlay\.[\w.-]+\.json|goldens\.safetensors|chat_template\.jinja|README\.md|(LICENSE|NOTICE).*"
)


def check_replaceable(target: Path) -> None:
    """Refuse to replace what is no artifact, and an artifact that holds files which its manifest doesn't list.

    Raises:
        OutputError: naming what would be lost.
    """
    if target.is_dir() and not any(target.iterdir()):
        return
    if not (target / MANIFEST_NAME).is_file():
        raise OutputError(f"{target} is not an artifact (it has no {MANIFEST_NAME}): --force replaces artifacts only")
    if target.resolve() == Path.cwd():
        raise OutputError(f"{target} is the current folder: change to another one first, or choose another output path")
    files, sealed = None, False
    try:
        files = read_manifest(target).files
        sealed = check_seal(target)
    except ArtifactError as error:
        if files is None:
            raise OutputError(f"{target} is not an artifact ({error}): --force replaces artifacts only") from error
        sealed = False
    listed = {MANIFEST_NAME, SIGNATURE_NAME, *(name for name in files if _WRITTEN.fullmatch(name))}
    foreign = sorted(
        path.name
        for path in target.iterdir()
        if path.name not in listed or path.is_symlink() or not path.is_file()  # a folder may hold anything
    )
    if foreign:
        names = ", ".join(foreign[:3]) + (" …" if len(foreign) > 3 else "")
        raise OutputError(
            f"{target} also holds {names}, which no export wrote: move that away, then --force replaces it"
        )
    if sealed:  # else an older export's, or a manifest that was edited: its hashes say nothing
        _check_unchanged(target, files)


def _check_unchanged(target: Path, files: Mapping[str, FileRecord]) -> None:
    """Refuse to delete a file that is not what an export wrote, whatever the manifest lists: it is somebody's.

    Files that are too large to be anybody's notes are told by their size.

    Raises:
        OutputError: naming the file.
    """
    for name, record in files.items():
        path = target / name
        if not path.exists() and not path.is_symlink():
            continue
        plain = path.is_file() and not path.is_symlink() and path.stat().st_size == record.bytes
        if not plain or (record.bytes <= _HASHED and hash_file(path) != record.sha256):
            raise OutputError(
                f"{path} is not the file that the export wrote: move it away, or keep a copy elsewhere and delete it, "
                "then --force replaces the artifact"
            )
