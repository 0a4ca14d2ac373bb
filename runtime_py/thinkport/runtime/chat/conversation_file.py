"""A conversation on disk: a chat's data, and the KV cache of its messages with the artifact that computed it.

Knows a zip of JSON and `.npy` members, and how to find damage. Must not know what a chat keeps, nor how a KV cache is
used.
"""

import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.errors import ArtifactError

FORMAT = "thinkport conversation"
VERSION = 1
_HEAD, _IDS = "conversation.json", "ids.npy"
_BLOCK = 1 << 20  # bytes read at once, so that no second copy of a buffer is made
_ZIP64_FROM = 1 << 30  # bytes from which a member needs the larger header: the limit is 2 GiB with its own header
_MESSAGES_ONLY = "take the messages alone with ignore_kv=True, and their KV cache is computed anew"


@dataclass(frozen=True, kw_only=True)
class KvSource:
    """What computed a KV cache; nothing else can use it.

    artifact: the fingerprint of its manifest. graph: the graph's file. layout: as `KvSnapshot.layout` has it.
    """

    artifact: str
    graph: str
    layout: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedConversation:
    """What a file holds: a chat's `data`, any JSON object, and the `ids` that the KV snapshot is of.

    `snapshot` is None, and `ids` empty, where no KV cache was saved or it was not asked for.
    """

    data: dict[str, Any]
    ids: list[int]
    snapshot: KvSnapshot | None


class _Kv(NamedTuple):
    """The head's record of a snapshot: what each of its parts is."""

    tokens: int
    parts: int
    heads: int
    width: int
    dtype: str


def write_conversation(path: str | Path, conversation: SavedConversation, source: KvSource) -> None:
    """Write a file in place of the conversation at `path`, which stays as it is until the new one is whole.

    Raises:
        ArtifactError: the file can't be written, or what is there is no saved conversation.
    """
    target = Path(path)
    try:
        _check_replaceable(target)
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            try:
                _write(file, conversation, source)
                file.flush()
                os.fsync(file.fileno())
                file.close()  # Windows replaces no open file
                Path(file.name).replace(target)
            except BaseException:
                file.close()
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        reason = error.strerror or type(error).__name__  # the error itself names a temporary file
        raise ArtifactError(f"{target} can't be written ({reason}): save the conversation elsewhere") from error


def _check_replaceable(target: Path) -> None:
    """Refuse to overwrite what is no saved conversation, such as a user's text under a name that was mistyped.

    Raises:
        ArtifactError: with what is there.
    """
    if not target.exists() or (target.is_file() and target.stat().st_size == 0):
        return
    try:
        with zipfile.ZipFile(target) as archive:
            ours = _HEAD in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        ours = False
    if not ours:
        raise ArtifactError(
            f"{target} is there and is no saved conversation, so it is not replaced: save under another name, or move "
            "it away first"
        )


def read_conversation(path: str | Path, source: KvSource, *, ignore_kv: bool = False) -> SavedConversation:
    """Read a file that `write_conversation` wrote, for a model whose KV caches are of `source`.

    `ignore_kv` leaves the KV cache out, whoever made it and in whatever state; so does another graph of the artifact.

    Raises:
        ArtifactError: no such file, not a conversation's, damaged, of a newer version, or its KV cache is of another
            artifact.
    """
    file = Path(path)
    if not file.is_file():
        raise ArtifactError(f"no conversation at {file}: expected a file that was saved before")
    try:
        return _read(file, source, ignore_kv)
    except ArtifactError:
        raise
    except OSError as error:
        raise ArtifactError(f"{file} can't be read ({error}): check its permissions and its disk") from error
    except Exception as error:  # zipfile, json and numpy raise a dozen kinds over damaged bytes
        rest = "pick another file, or a sound copy" + ("" if ignore_kv else f", or {_MESSAGES_ONLY}")
        raise ArtifactError(f"{file} is damaged, cut short or no saved conversation ({error!r}): {rest}") from error


def _write(file: IO[bytes], conversation: SavedConversation, source: KvSource) -> None:
    head = {"format": FORMAT, "version": VERSION, "source": asdict(source), "kv": None, "data": conversation.data}
    snapshot = conversation.snapshot
    with zipfile.ZipFile(file, "w") as archive:  # stored: keys and values hardly get smaller
        if snapshot:
            assert snapshot.layout == source.layout, "the snapshot is of another KV cache than the source says"
            assert snapshot.length == len(conversation.ids), "the ids are not the snapshot's"
            _, heads, tokens, width = snapshot.parts[0].shape
            head["kv"] = _Kv(tokens, len(snapshot.parts), heads, width, snapshot.parts[0].dtype.name)._asdict()
        archive.writestr(_HEAD, json.dumps(head))
        if snapshot:
            _write_array(archive, _IDS, np.array(conversation.ids, np.int64))
            for at, part in enumerate(snapshot.parts):
                _write_array(archive, _part_name(at), part)


def _write_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    with archive.open(name, "w", force_zip64=array.nbytes >= _ZIP64_FROM) as member:
        npy.write_array(member, array, version=(1, 0), allow_pickle=False)


def _read(path: Path, source: KvSource, ignore_kv: bool) -> SavedConversation:
    with zipfile.ZipFile(path) as archive:
        head = _read_head(archive, path)
        data = head["data"]
        if ignore_kv or head["kv"] is None:
            return SavedConversation(data=data, ids=[], snapshot=None)
        found = KvSource(**head["source"])
        if found.artifact != source.artifact:
            raise ArtifactError(
                f"the KV cache in {path} is of artifact {found.artifact}, expected {source.artifact}: {_MESSAGES_ONLY}"
            )
        if found != source:  # `auto` takes another graph once it knows a faster one: computed anew, it is as good
            return SavedConversation(data=data, ids=[], snapshot=None)
        kv = _Kv(**head["kv"])
        ids = _read_array(archive, _IDS, np.dtype(np.int64), (kv.tokens,)).tolist()
        shape = (1, kv.heads, kv.tokens, kv.width)
        parts = tuple(_read_array(archive, _part_name(at), np.dtype(kv.dtype), shape) for at in range(kv.parts))
        return SavedConversation(data=data, ids=ids, snapshot=KvSnapshot(parts=parts))


def _read_head(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The JSON member, once it is known to be one that this version reads."""
    if _HEAD not in archive.namelist():
        raise ArtifactError(f"{path} has no {_HEAD}: it is not a saved conversation, or damaged")
    with _open(archive, _HEAD) as member:
        head = json.loads(member.read())
    if head["format"] != FORMAT:
        raise ArtifactError(f"{path} is a {head['format']!r}, expected a {FORMAT!r}: pick another file")
    if head["version"] > VERSION:
        raise ArtifactError(
            f"{path} has format version {head['version']}, this thinkport reads up to {VERSION}: upgrade thinkport"
        )
    return {"data": head["data"], "kv": head["kv"], "source": head["source"]}


def _read_array(archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Read a member of this type and shape to its end, where zipfile checks its CRC."""
    with _open(archive, name) as member:
        npy.read_magic(member)
        found = npy.read_array_header_1_0(member)
        if found != (shape, False, dtype):
            raise ValueError(f"{name} is {found}, expected {(shape, False, dtype)}")
        array = np.empty(shape, dtype)
        flat, at = array.reshape(-1).view(np.uint8), 0
        while block := member.read(_BLOCK):
            flat[at : at + len(block)] = np.frombuffer(block, np.uint8)
            at += len(block)
        if at != flat.size:
            raise ValueError(f"{name} has {at} bytes of data, expected {flat.size}")
    return array


def _open(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a stored member that is no larger than its file, since a damaged size could ask for any amount of memory."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > Path(str(archive.filename)).stat().st_size:
        raise ValueError(f"{name} has {info.file_size} bytes by method {info.compress_type}, expected them stored")
    return archive.open(info)


def _part_name(at: int) -> str:
    return f"kv/{at // 2}.{'value' if at % 2 else 'key'}.npy"
