"""Whether an artifact that travels is whole: every file against its sha256, and the manifest against its own.

The model card is left out: it is for people, who edit it before and after it is on the Hub.
"""

from pathlib import Path

from thinkport.runtime.manifest import MODEL_CARD, Manifest, check_files, read_manifest
from thinkport.runtime.manifest_seal import check_seal


def check_whole(folder: Path) -> Manifest:
    """The manifest of a folder, once all that it lists is as it was written.

    Raises:
        ArtifactError: no artifact, or a file that is missing or changed.
    """
    manifest = read_manifest(folder)
    check_seal(folder)
    computed = {name: record for name, record in manifest.files.items() if name != MODEL_CARD}
    check_files(folder, manifest.model_copy(update={"files": computed}), verify=True)
    return manifest
