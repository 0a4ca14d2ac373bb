"""Signatures as minisign writes and reads them (https://jedisct1.github.io/minisign/): Ed25519 over a file's BLAKE2b.

A signature says who vouches for a file. Of an artifact, the manifest is signed, which has every other file's sha256.
Knows the format of keys and signatures; needs the package cryptography, which is in thinkport[sign]. Must not know
artifacts.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from thinkport.runtime.artifact.strangers_file import read_strangers
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.extras import require

_PLAIN, _HASHED, _SCRYPT, _BLAKE2B = b"Ed", b"ED", b"Sc", b"B2"
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
_SMALL = 1 << 16  # bytes of a key's or signature's file
_PUBLIC_BYTES, _SECRET_BYTES, _SIGNATURE_BYTES = 42, 158, 74


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A public key and the number that its signatures name."""

    number: bytes
    key: bytes

    @classmethod
    def parse(cls, given: str) -> "PublicKey":
        """The key that a text is, as minisign prints it, or that the file of that name holds.

        Raises:
            InputError: it is neither.
        """
        named = False
        with suppress(OSError, ValueError):  # a text that can be no file's name
            named = Path(given).is_file()
        text = _text_of(Path(given)) if named else given
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(_UNTRUSTED)]
        raw = _decoded(lines[0]) if len(lines) == 1 else b""
        if len(raw) != _PUBLIC_BYTES or raw[:2] != _PLAIN:
            raise InputError(
                f"{given!r:.200} is no public key of minisign: expected one of 56 characters that begins with RW, or "
                "the name of a file with one, such as minisign.pub"
            )
        return cls(number=raw[2:10], key=raw[10:])


class Signature(NamedTuple):
    """A signature's parts; the comment is the signer's, and signed too."""

    hashed: bool
    number: bytes
    value: bytes
    comment: str
    comment_value: bytes


def check_signature(content: bytes, text: str, key: PublicKey, name: str) -> str:
    """Hold a file's `content` against its signature's text; returns the signer's comment. `name` is what was signed.

    Raises:
        ArtifactError: it is another key's, of another content, or no signature.
        MissingExtraError: the package cryptography is missing.
    """
    require("sign", "cryptography")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = _parsed(text, name)
    if found.number != key.number:
        raise ArtifactError(
            f"{name} is signed with the key {_hex(found.number)}, expected {_hex(key.number)}: take the signer's own "
            "public key, or another artifact"
        )
    public = Ed25519PublicKey.from_public_bytes(key.key)
    try:
        public.verify(found.value, _digest(content) if found.hashed else content)
        public.verify(found.comment_value, found.value + found.comment.encode())
    except InvalidSignature:
        raise ArtifactError(
            f"{name} is not what {_hex(key.number)} signed: it or its signature was changed; fetch both again"
        ) from None
    return found.comment


class SecretKey:
    """A secret key of minisign, opened; `sign` makes signatures that minisign reads."""

    def __init__(self, number: bytes, seed: bytes):
        self.number, self._seed = number, seed

    @classmethod
    def read(cls, path: Path, password: Callable[[], str]) -> "SecretKey":
        """Open a file that `minisign -G` wrote; `password` is asked if it has one.

        Raises:
            InputError: it can't be read, is no secret key, or the password is wrong.
        """
        lines = [line for line in _text_of(path).splitlines() if line.strip() and not line.startswith(_UNTRUSTED)]
        raw = _decoded(lines[0].strip()) if len(lines) == 1 else b""
        if len(raw) != _SECRET_BYTES or raw[:2] != _PLAIN or raw[4:6] != _BLAKE2B or raw[2:4] not in (_SCRYPT, b"\0\0"):
            raise InputError(f"{path} is no secret key of minisign: make one with `minisign -G`, and give minisign.key")
        parts = raw[54:]
        if raw[2:4] == _SCRYPT:
            salt, operations, memory = raw[6:38], *(int.from_bytes(raw[at : at + 8], "little") for at in (38, 46))
            stream = _stream(password(), salt, operations, memory, len(parts))
            parts = bytes(a ^ b for a, b in zip(parts, stream, strict=True))
        number, secret, check = parts[:8], parts[8:72], parts[72:]
        digest = hashlib.blake2b(raw[:2] + number + secret, digest_size=32).digest()
        unchecked = raw[2:4] != _SCRYPT and check == bytes(32)  # as `minisign -G -W` leaves it
        if not unchecked and not hmac.compare_digest(digest, check):
            raise InputError(f"the password of {path} is wrong, or the file is damaged: try again")
        return cls(number, secret[:32])

    def sign(self, content: bytes, name: str) -> str:
        """The text of a signature of a file's content; `name` and the time stand in its comment.

        Raises:
            MissingExtraError: the package cryptography is missing.
        """
        require("sign", "cryptography")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.from_private_bytes(self._seed)
        value = private.sign(_digest(content))
        comment = f"timestamp:{int(time.time())}\tfile:{name}\thashed"
        lines = (
            f"{_UNTRUSTED}signature by thinkport",
            base64.b64encode(_HASHED + self.number + value).decode(),
            f"{_TRUSTED}{comment}",
            base64.b64encode(private.sign(value + comment.encode())).decode(),
        )
        return "\n".join(lines) + "\n"


def _parsed(text: str, name: str) -> Signature:
    lines = text.splitlines()
    if len(lines) == 4 and lines[0].startswith(_UNTRUSTED) and lines[2].startswith(_TRUSTED):
        raw, comment_value = _decoded(lines[1].strip()), _decoded(lines[3].strip())
        if len(raw) == _SIGNATURE_BYTES and raw[:2] in (_PLAIN, _HASHED) and len(comment_value) == 64:
            comment = lines[2].removeprefix(_TRUSTED)
            return Signature(raw[:2] == _HASHED, raw[2:10], raw[10:], comment, comment_value)
    raise ArtifactError(f"the signature of {name} is none of minisign's: fetch it again")


def _stream(password: str, salt: bytes, operations: int, memory: int, length: int) -> bytes:
    """The bytes that a password stands for: scrypt, with the numbers that libsodium makes of its two limits
    (crypto_pwhash/scryptsalsa208sha256, `pickparams`).
    """
    operations, r = max(operations, 1 << 15), 8
    small = operations < memory // 32
    most = operations // (r * 4) if small else memory // (r * 128)
    log = next((log for log in range(1, 63) if 1 << log > most // 2), 62)
    p = 1 if small else min((operations // 4) // (1 << log), 0x3FFFFFFF) // r
    if log > 21 or not 1 <= p <= 64:
        raise InputError(f"the secret key asks for scrypt of 2^{log} and {p}: no key of minisign's does")
    options: dict[str, Any] = {"n": 1 << log, "r": r, "p": p, "maxmem": (128 * r << log) + (1 << 26), "dklen": length}
    return hashlib.scrypt(password.encode(), salt=salt, **options)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content).digest()


def _text_of(path: Path) -> str:
    try:
        return read_strangers(path, _SMALL).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror or error}): expected a file of minisign's") from error


def _decoded(line: str) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _hex(number: bytes) -> str:
    """A key's number as minisign prints it."""
    return number[::-1].hex().upper()
