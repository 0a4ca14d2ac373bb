"""A conversation on disk: it comes back exactly, or an error says what is wrong with the file."""

import json
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkport.runtime.artifact.manifest import fingerprint
from thinkport.runtime.chat.conversation_file import (
    KvSource,
    SavedConversation,
    read_conversation,
    write_conversation,
)
from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.errors import ArtifactError

DATA = {"messages": [{"role": "user", "content": "Grüße 👋 \ud83d"}], "thinking": None, "seed": 7}


def new_snapshot(tokens: int = 3, dtype="float32", layers: int = 2, heads: int = 1, width: int = 2) -> KvSnapshot:
    random = np.random.default_rng(0)
    shape = (1, heads, tokens, width)
    return KvSnapshot(parts=tuple(random.integers(-99, 99, shape).astype(dtype) for _ in range(2 * layers)))


def new_conversation(snapshot: KvSnapshot | None, data=DATA) -> SavedConversation:
    return SavedConversation(data=data, ids=list(range(snapshot.length)) if snapshot else [], snapshot=snapshot)


SOURCE = KvSource(artifact="ab" * 32, graph="cpu.onnx", layout="none")


def source_of(snapshot: KvSnapshot | None) -> KvSource:
    return KvSource(artifact="ab" * 32, graph="cpu.onnx", layout=snapshot.layout if snapshot else "none")


def same(one: SavedConversation, other: SavedConversation) -> bool:
    parts = [kept.snapshot.parts if kept.snapshot else () for kept in (one, other)]
    if (one.data, one.ids, len(parts[0])) != (other.data, other.ids, len(parts[1])):
        return False
    return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True) for a, b in zip(*parts, strict=True))


@pytest.fixture
def written(tmp_path: Path):
    """A small file's path, what it holds, and its source."""
    path, snapshot = tmp_path / "talk.thinkport", new_snapshot(layers=1)
    write_conversation(path, new_conversation(snapshot), source_of(snapshot))
    return path, new_conversation(snapshot), source_of(snapshot)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.text(), JSON),
    st.tuples(st.integers(1, 20), st.sampled_from(["float32", "float16", "int8"]), st.integers(1, 3)),
)
@settings(max_examples=40)
def test_whatever_is_written_is_read_back(tmp_path_factory, data, shape) -> None:
    path, snapshot = tmp_path_factory.mktemp("talk") / "talk", new_snapshot(*shape)
    write_conversation(path, new_conversation(snapshot, data), source_of(snapshot))
    assert same(read_conversation(path, source_of(snapshot)), new_conversation(snapshot, data))


def test_a_view_and_values_that_are_no_numbers_are_written_as_they_are(tmp_path: Path) -> None:
    snapshot = new_snapshot(300, heads=2, width=128)
    snapshot.parts[0][0, 0, :3, 0] = np.nan, np.inf, -0.0
    start = snapshot.first(200)
    write_conversation(tmp_path / "talk", new_conversation(start), source_of(start))
    read = read_conversation(tmp_path / "talk", source_of(start))
    assert same(read, new_conversation(start))
    assert read.snapshot
    assert [part.tobytes() for part in read.snapshot.parts] == [part.tobytes() for part in start.parts]


def test_a_conversation_without_a_kv_cache_is_anyones(tmp_path: Path) -> None:
    write_conversation(tmp_path / "talk", new_conversation(None), source_of(None))
    elsewhere = replace(source_of(None), artifact="cd" * 32)
    assert same(read_conversation(tmp_path / "talk", elsewhere), new_conversation(None))


def test_any_changed_byte_is_found_or_changes_nothing(written) -> None:
    path, conversation, source = written
    whole = path.read_bytes()
    found = 0
    for at in range(len(whole)):
        for flipped in (1 << at % 8, 0xFF)[: 2 - at % 2]:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flipped]) + whole[at + 1 :])
            try:
                assert same(read_conversation(path, source), conversation), f"byte {at} changes what is read"
            except ArtifactError:
                found += 1
    assert found > 0.9 * len(whole), "most bytes matter"


def test_a_file_cut_short_anywhere_is_refused(written) -> None:
    path, _, source = written
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="cut short"):
            read_conversation(path, source)


def test_messages_are_read_where_the_kv_cache_is_damaged(written) -> None:
    path, conversation, source = written
    whole = path.read_bytes()
    at = whole.index(conversation.snapshot.parts[0].tobytes())
    path.write_bytes(whole[:at] + b"?" + whole[at + 1 :])
    with pytest.raises(ArtifactError, match=r"damaged.*CRC.*ignore_kv=True"):
        read_conversation(path, source)
    assert read_conversation(path, source, ignore_kv=True).data == DATA


def test_a_kv_cache_of_another_artifact_is_refused_and_its_messages_are_not(written) -> None:
    path, _, source = written
    other = replace(source, artifact="cd" * 32)
    with pytest.raises(ArtifactError, match=f"of artifact {'ab' * 32}, expected {'cd' * 32}.*ignore_kv=True"):
        read_conversation(path, other)
    read = read_conversation(path, other, ignore_kv=True)
    assert (read.data, read.ids, read.snapshot) == (DATA, [], None)


@pytest.mark.parametrize("what", [{"graph": "dml.onnx"}, {"layout": "int8, 2 layers"}])
def test_a_conversation_goes_on_over_another_graph_of_its_artifact(written, what) -> None:
    path, _, source = written
    read = read_conversation(path, replace(source, **what))
    assert (read.data, read.ids, read.snapshot) == (DATA, [], None)


def rewrite(path: Path, change, method=zipfile.ZIP_STORED) -> None:
    """Make a whole zip again of the members (names to bytes) that `change` returns."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)


@pytest.mark.parametrize("name", ["conversation.json", "ids.npy", "kv/0.key.npy", "kv/0.value.npy"])
@pytest.mark.parametrize(
    "change",
    [lambda content: content[:-1], lambda content: content + b"?", lambda content: None],
    ids=["short", "long", "missing"],
)
def test_a_whole_zip_with_a_member_too_short_too_long_or_missing_is_refused(written, name, change) -> None:
    path, _, source = written
    rewrite(path, lambda members: {n: c for n, c in (members | {name: change(members[name])}).items() if c is not None})
    with pytest.raises(ArtifactError, match="damaged"):
        read_conversation(path, source)


def test_a_compressed_zip_is_refused_since_it_may_unpack_to_any_size(written) -> None:
    path, _, source = written
    rewrite(path, lambda members: members, zipfile.ZIP_DEFLATED)
    with pytest.raises(ArtifactError, match="by method 8, expected them stored"):
        read_conversation(path, source)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2, "data": "of another kind"}, "format version 2, this thinkport reads up to 1: upgrade"),
        ({"format": "a song"}, "is a 'a song', expected a 'thinkport conversation'"),
        ({"source": {"artifact": "x"}}, "damaged"),
        ({}, "damaged.*ids.npy"),
    ],
)
def test_a_head_that_this_version_does_not_read_is_refused(written, changes, says) -> None:
    path, _, source = written
    name = "conversation.json"
    rewrite(path, lambda members: {name: json.dumps(json.loads(members[name]) | changes)})
    with pytest.raises(ArtifactError, match=says):
        read_conversation(path, source)


def test_what_is_no_conversation_is_refused(tmp_path: Path) -> None:
    source = source_of(None)
    with pytest.raises(ArtifactError, match=r"no conversation at .*talk: expected a file"):
        read_conversation(tmp_path / "talk", source)
    with pytest.raises(ArtifactError, match="no conversation at"):
        read_conversation(tmp_path, source)
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    with pytest.raises(ArtifactError, match="no saved conversation"):
        read_conversation(tmp_path / "text", source)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("song.txt", "la")
    with pytest.raises(ArtifactError, match="not a saved conversation"):
        read_conversation(tmp_path / "other.zip", source)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(written) -> None:
    path, conversation, source = written
    with pytest.raises(TypeError):
        write_conversation(path, replace(conversation, data={"messages": object()}), source)
    assert [kept.name for kept in path.parent.iterdir()] == [path.name]
    assert same(read_conversation(path, source), conversation)


def test_a_path_that_cannot_be_written_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="can't be written"):
        write_conversation(tmp_path / "no" / "folder" / "talk", new_conversation(None), source_of(None))


def test_writing_and_reading_make_no_second_copy_of_the_kv_cache(tmp_path: Path) -> None:
    snapshot = new_snapshot(4096, dtype="int8", layers=4, heads=8, width=128)  # 8 parts of 4 MiB
    tracemalloc.start()
    write_conversation(tmp_path / "talk", new_conversation(snapshot), source_of(snapshot))
    assert tracemalloc.get_traced_memory()[1] < snapshot.nbytes / 2
    tracemalloc.reset_peak()
    read = read_conversation(tmp_path / "talk", source_of(snapshot))
    assert tracemalloc.get_traced_memory()[1] < snapshot.nbytes * 1.25
    tracemalloc.stop()
    assert same(read, new_conversation(snapshot))


def test_an_artifacts_fingerprint_is_that_of_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "thinkport.json").write_bytes(b"{}")
    assert fingerprint(tmp_path) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(ArtifactError, match="can't be read"):
        fingerprint(tmp_path / "none")


@pytest.mark.parametrize(
    "content", [b"my thesis", b"PK\x03\x04 something else", b"\x00" * 64], ids=["text", "zip", "zeros"]
)
def test_a_file_that_is_no_conversation_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"notes\.txt is there and is no saved conversation, so it is not replaced"):
        write_conversation(path, SavedConversation(data={}, ids=[], snapshot=None), SOURCE)
    assert path.read_bytes() == content


def test_a_name_that_no_file_can_have_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="can't be written"):
        write_conversation(tmp_path / ("a" * 300), SavedConversation(data={}, ids=[], snapshot=None), SOURCE)


def test_another_programs_archive_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "book.epub"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
    with pytest.raises(ArtifactError, match="is no saved conversation"):
        write_conversation(path, SavedConversation(data={}, ids=[], snapshot=None), SOURCE)


def test_a_conversation_and_an_empty_file_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "chat.tpc"
    path.touch()
    for number in range(2):
        write_conversation(path, SavedConversation(data={"n": number}, ids=[], snapshot=None), SOURCE)
        assert read_conversation(path, SOURCE).data == {"n": number}


def test_a_message_about_a_file_names_no_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as said:
        write_conversation(tmp_path / "no" / "chat", SavedConversation(data={}, ids=[], snapshot=None), SOURCE)
    assert ".chat." not in str(said.value)
