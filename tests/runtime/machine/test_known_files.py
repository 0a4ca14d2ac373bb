"""A changed file is never used in silence: hashed once on a machine, then known by its facts and a few blocks."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, FileRecord, Manifest, hash_file, read_manifest
from thinkport.runtime.cli.main import main
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.machine.known_files import BLOCK, SAMPLED, FileFacts, FilesCheck, KnownFiles
from thinkport.runtime.model import Model

SAMPLE = Path(__file__).resolve().parents[2] / "contract" / "manifest.json"
CHANGE_TIME = pytest.mark.skipif(sys.platform == "win32", reason="Windows tells no time of a file's last change")
LONG_AGO = 1_600_000_000_123_456_789


class Folder:
    """An artifact's folder with a large and a small file, and what a machine knows of it."""

    def __init__(self, path: Path):
        self.path, self.cache = path / "artifact", path / "cache"
        self.path.mkdir()
        self.weights, self.template = self.path / "weights.bin", self.path / "chat_template.jinja"
        self.weights.write_bytes(os.urandom(3 * BLOCK + 5))
        self.template.write_text("{{ messages }}", encoding="utf-8")
        files = {p.name: FileRecord(bytes=p.stat().st_size, sha256=hash_file(p)) for p in self.path.iterdir()}
        sample = Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8"))
        self.manifest = sample.model_copy(update={"files": files, "manifest_sha256": None})

    def check(self, *, anew: bool = False) -> FilesCheck:
        return KnownFiles(self.cache).check(self.path, self.manifest, anew=anew)

    @property
    def size(self) -> int:
        return self.weights.stat().st_size + self.template.stat().st_size


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Its files count as settled at once, but for the test that is about that."""
    monkeypatch.setattr(FileFacts, "tells", lambda *_: True)
    return Folder(tmp_path)


def flip(path: Path, at: int, *, times: bool = False) -> None:
    """Change one bit in place; with `times`, put the modification time back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    if times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_first_check_hashes_all_files_and_a_later_one_none(folder: Folder) -> None:
    first, later = folder.check(), folder.check()
    assert (first.files, first.bytes, first.hashed) == (2, folder.size, folder.size)
    assert (later.files, later.bytes, later.hashed) == (2, folder.size, 0)


@pytest.mark.parametrize("times", [False, pytest.param(True, marks=CHANGE_TIME)])
@pytest.mark.parametrize("name", ["weights.bin", "chat_template.jinja"])
def test_a_byte_that_changes_after_the_first_check_is_an_error_that_names_the_file(
    folder: Folder, name: str, times: bool
) -> None:
    folder.check()
    flip(folder.path / name, 2, times=times)
    found, recorded = hash_file(folder.path / name)[:12], folder.manifest.files[name].sha256[:12]
    for _ in range(2):
        with pytest.raises(ArtifactError, match=rf"{name} does not .*found {found}…, recorded {recorded}….*copy it"):
            folder.check()


@CHANGE_TIME
def test_a_file_that_another_one_replaced_with_its_times_is_noticed(folder: Folder, tmp_path: Path) -> None:
    folder.check()
    other = tmp_path / "other"
    shutil.copy2(folder.weights, other)
    flip(other, 7, times=True)
    other.replace(folder.weights)
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have"):
        folder.check()


def test_blocks_are_read_even_where_the_file_system_tells_of_no_change(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileFacts, "of", lambda path: FileFacts(bytes=1, inode=1, mtime_ns=1, ctime_ns=1))
    assert SAMPLED >= 4  # so that all blocks of these weights are read
    folder.check()
    assert folder.check().hashed == 0
    for at in (0, BLOCK, 3 * BLOCK + 4):
        flip(folder.weights, at)
        with pytest.raises(ArtifactError, match=r"weights\.bin does not have"):
            folder.check()
        flip(folder.weights, at)


def test_touch_a_copy_and_a_move_cost_a_hash_and_no_error(folder: Folder) -> None:
    folder.check()
    os.utime(folder.weights, ns=(LONG_AGO, LONG_AGO))
    assert folder.check().hashed == folder.weights.stat().st_size
    assert folder.check().hashed == 0
    size, copy = folder.size, folder.path.with_name("copy")
    shutil.copytree(folder.path, copy)
    folder.path.rename(folder.path.with_name("moved"))
    for path in (copy, folder.path.with_name("moved")):
        folder.path = path
        assert folder.check().hashed == size
        assert folder.check().hashed == 0


def test_a_folder_that_got_another_name_is_known_by_that(folder: Folder) -> None:
    folder.check()
    named = folder.path.with_name("named")
    folder.path.rename(named)
    KnownFiles(folder.cache).moved(folder.path, named)
    folder.path = named
    assert folder.check().hashed == 0


def test_what_fails_is_not_remembered_and_a_file_that_is_put_back_is_right(folder: Folder) -> None:
    folder.check()
    whole = folder.weights.read_bytes()
    folder.weights.write_bytes(bytes(len(whole)))
    with pytest.raises(ArtifactError):
        folder.check()
    folder.weights.write_bytes(whole)
    assert folder.check().hashed == len(whole)


def test_an_edited_manifest_is_held_against_the_files_and_an_edited_model_card_is_nobodys_matter(
    folder: Folder,
) -> None:
    folder.check()
    other = FileRecord(bytes=folder.weights.stat().st_size, sha256="0" * 64)
    files = {**folder.manifest.files, "README.md": FileRecord(bytes=1, sha256="0" * 64)}
    folder.manifest = folder.manifest.model_copy(update={"files": files})
    assert folder.check().files == 2
    folder.manifest = folder.manifest.model_copy(update={"files": {**files, "weights.bin": other}})
    with pytest.raises(ArtifactError, match="recorded 000000000000…"):
        folder.check()


def test_a_file_that_was_just_written_is_hashed_again_since_a_change_within_a_tick_would_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path)
    facts = FileFacts.of(folder.weights)
    assert not facts.tells(facts.mtime_ns + 1_000_000)
    assert facts.tells(facts.mtime_ns + 3_000_000_000)
    whole_seconds = FileFacts(bytes=1, inode=1, mtime_ns=5_000_000_000, ctime_ns=5_000_000_000)  # FAT's clock
    assert not whole_seconds.tells(6_900_000_000)
    monkeypatch.setattr(FileFacts, "tells", lambda *_: False)
    assert [folder.check().hashed for _ in range(2)] == [folder.size] * 2


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"files": {"weights.bin": 1}}', b"\xff", b'{"files": []}'])
def test_a_damaged_memory_knows_nothing(folder: Folder, damage: bytes) -> None:
    folder.check()
    (record,) = folder.cache.iterdir()
    record.write_bytes(damage)
    assert folder.check().hashed == folder.size


def test_without_a_place_to_remember_every_check_hashes(folder: Folder) -> None:
    folder.cache.write_bytes(b"")
    assert [folder.check().hashed for _ in range(2)] == [folder.size] * 2


def test_all_is_hashed_when_that_is_asked_for(folder: Folder) -> None:
    folder.check()
    assert folder.check(anew=True).hashed == folder.size


@pytest.fixture
def nano_copy(nano_artifact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(nano_artifact, tmp_path / "nano")


@CHANGE_TIME
@pytest.mark.parametrize("name", ["weights.bin", "chat_template.jinja", "tokenizer.json", "cpu.onnx"])
def test_no_load_uses_a_file_that_changed_since_the_last_one(nano_copy: Path, name: str) -> None:
    with Model.load(nano_copy) as model:
        assert model.files_check is not None
    flip(nano_copy / name, (nano_copy / name).stat().st_size // 2, times=True)
    with pytest.raises(ArtifactError, match=f"{name} does not have the recorded sha256"):
        Model.load(nano_copy)


@CHANGE_TIME
def test_a_model_that_was_unloaded_does_not_come_back_with_other_weights(nano_copy: Path) -> None:
    with Model.load(nano_copy) as model:
        model.unload()
        flip(nano_copy / "weights.bin", 4321, times=True)
        with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
            model.reload()


def test_a_manifest_that_was_edited_is_refused(nano_copy: Path) -> None:
    text = (nano_copy / MANIFEST_NAME).read_bytes()
    (nano_copy / MANIFEST_NAME).write_bytes(text.replace(b'"temperature": 0.6', b'"temperature": 0.7'))
    assert read_manifest(nano_copy).sampling.thinking.temperature == 0.7
    with pytest.raises(ArtifactError, match="does not have the sha256 that it records of itself"):
        Model.load(nano_copy)


@CHANGE_TIME
@pytest.mark.parametrize(
    "command",
    [
        lambda folder: ["generate", folder, "hi"],
        lambda folder: ["chat", folder],
        lambda folder: ["serve", folder, "--port", "0"],
        lambda folder: ["doctor", folder],
    ],
    ids=["generate", "chat", "serve", "doctor"],
)
def test_every_verb_that_runs_an_artifact_names_the_changed_file_and_ends_with_3(
    nano_copy: Path,
    command: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Model.load(nano_copy).close()
    flip(nano_copy / "weights.bin", 4321, times=True)
    monkeypatch.setattr(sys, "argv", ["thinkport", *command(str(nano_copy))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "weights.bin does not have the recorded sha256" in " ".join(capsys.readouterr().err.split())
