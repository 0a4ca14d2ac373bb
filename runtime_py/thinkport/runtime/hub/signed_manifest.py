"""An artifact's signature: a file beside the manifest, in minisign's format, over the manifest's bytes.

The manifest has the sha256 of every other file, so that whoever signed it vouches for all of them but the model card,
which anybody may edit.
"""

from pathlib import Path

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, SIGNATURE_NAME
from thinkport.runtime.artifact.strangers_file import read_strangers
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.hub.minisign import PublicKey, SecretKey, check_signature

_SMALL = 1 << 16  # bytes of a signature's file


def sign_manifest(folder: Path, key: SecretKey) -> Path:
    """Write the signature of an artifact's manifest beside it, and return its file.

    Raises:
        MissingExtraError: the package cryptography is missing.
        OSError: it can't be written.
    """
    path = folder / SIGNATURE_NAME
    if path.is_symlink():  # to a file of the Hub's cache, or wherever whoever made the folder wants
        path.unlink()
    path.write_text(key.sign((folder / MANIFEST_NAME).read_bytes(), MANIFEST_NAME), encoding="utf-8", newline="\n")
    return path


def check_signed(folder: Path, key: PublicKey) -> str:
    """Hold an artifact's manifest against its signature; returns the signer's comment.

    Raises:
        ArtifactError: there is none, it is another key's, or the manifest is not what was signed.
        MissingExtraError: the package cryptography is missing.
    """
    path = folder / SIGNATURE_NAME
    try:
        text = read_strangers(path, _SMALL).decode("utf-8", "replace")
        content = read_strangers(folder / MANIFEST_NAME)
    except OSError as error:
        raise ArtifactError(
            f"{folder} has no signature that can be read ({path.name}: {error.strerror or error}): ask who made the "
            "artifact for one, or leave --signed-by out"
        ) from error
    return check_signature(content, text, key, str(folder / MANIFEST_NAME))
