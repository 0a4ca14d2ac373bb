"""The manifest's own hash: `thinkport.json` lists the sha256 of every other file, and this one closes the circle.

It is the sha256 of the file's bytes with the 64 digits of `manifest_sha256` replaced by zeros.
"""

import hashlib
import re
from pathlib import Path

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
from thinkport.runtime.errors import ArtifactError

OPEN = "0" * 64  # in place of the hash while it is computed
_FIELD = re.compile(rb'("manifest_sha256": ")([0-9a-f]{64})(")')


def sealed(text: bytes) -> bytes:
    """A manifest's bytes with the hash in place of the zeros."""
    return _FIELD.sub(lambda found: found[1] + _digest(text) + found[3], text, count=1)


def check_seal(folder: Path) -> bool:
    """Hold a manifest against its own hash; False where it has none.

    Raises:
        ArtifactError: it was changed after it was written, or is no manifest.
    """
    path = folder / MANIFEST_NAME
    text = path.read_bytes()
    found = _FIELD.search(text)
    if found is None and read_manifest(folder).manifest_sha256 is None:
        return False
    if found is None or found[2] != _digest(text):  # a hash that is spelled otherwise is none that was written here
        raise ArtifactError(
            f"{path} does not have the sha256 that it records of itself: it was changed or damaged; copy the artifact "
            "again or export it again"
        )
    return True


def _digest(text: bytes) -> bytes:
    blank = _FIELD.sub(lambda found: found[1] + OPEN.encode() + found[3], text, count=1)
    return hashlib.sha256(blank).hexdigest().encode()
