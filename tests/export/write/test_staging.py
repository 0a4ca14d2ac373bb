"""An output folder appears whole or not at all, whatever happens while it is written."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest
from tests.export.write.fake_artifact import content_of, fill

from thinkport.export.errors import CheckpointError, OutputError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.export.write import claim
from thinkport.export.write.claim import claimed
from thinkport.export.write.staging import check_space, check_target, check_writable, clear_leftovers, staged
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, FileRecord, hash_file
from thinkport.runtime.artifact.manifest_seal import OPEN, sealed
from thinkport.runtime.errors import ArtifactError, ThinkportError
from thinkport.runtime.machine.exchange import exchanged


def beside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "artifact [v1]"


def written(target: Path, content: str) -> Path:
    with staged(target, force=False) as folder:
        fill(folder, content)
    return target


def dead_process() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_target_appears_when_the_folder_is_whole(target: Path) -> None:
    with staged(target, force=False) as folder:
        fill(folder, "new")
        assert not target.exists()
        assert folder.parent == target.parent  # on one file system, so that renaming is one step
    assert content_of(target) == "new"
    assert beside(target) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing(target: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):  # noqa: PT012, SIM117
        with staged(target, force=False) as folder:
            fill(folder, "half")
            raise error
    assert not target.parent.exists()  # which was made for it


def test_a_folder_above_that_was_there_or_is_used_stays(target: Path) -> None:
    other = target.parent / "other"
    with pytest.raises(ValueError):  # noqa: PT011, PT012, SIM117
        with staged(target / "below" / "artifact", force=False):
            other.mkdir()
            raise ValueError
    assert list(target.parent.iterdir()) == [other]


def test_what_can_not_be_written_to_is_refused_and_nothing_is_left(target: Path) -> None:
    check_writable(target)
    assert not target.parent.exists()
    too_long = target.parent / ("x" * 250)  # the staging folder's name is longer than a file system takes
    with pytest.raises(OutputError, match=r"can't write into .*outputs .*: choose another output path"):
        check_writable(too_long)
    assert not target.parent.exists()


def test_the_root_of_the_file_system_is_refused() -> None:
    with pytest.raises(OutputError, match="is the root of a file system: choose a folder below it"):
        check_target(Path(Path.cwd().anchor), force=True)


def test_a_full_disk_is_a_sentence_and_leaves_the_old_artifact(target: Path) -> None:
    written(target, "old")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.bin")
    with pytest.raises(OutputError, match=r"failed: No space left on device at weights\.bin"):  # noqa: SIM117
        with staged(target, force=True):
            raise full
    assert content_of(target) == "old"
    assert beside(target) == []


def test_an_existing_output_is_refused_without_force(target: Path) -> None:
    written(target, "old")
    with pytest.raises(OutputError, match="exists: give --force"):
        written(target, "new")
    assert content_of(target) == "old"


def test_force_replaces_an_artifact(target: Path) -> None:
    written(target, "old")
    with staged(target, force=True) as folder:
        fill(folder, "new")
        assert content_of(target) == "old"
    assert content_of(target) == "new"
    assert beside(target) == []


def test_force_replaces_artifacts_only(target: Path) -> None:
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(OutputError, match="is not an artifact"), staged(target, force=True):
        pytest.fail("it was let in")
    assert (target / "thesis.tex").read_text(encoding="utf-8") == "years of work"


def test_an_artifact_with_something_else_in_it_is_not_replaced(target: Path) -> None:
    written(target, "old")
    (target / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"also holds notes\.txt"), staged(target, force=True):
        pytest.fail("it was let in")
    assert (target / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_manifest_of_something_else_makes_no_artifact(target: Path) -> None:
    target.mkdir(parents=True)
    (target / MANIFEST_NAME).write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match="is not an artifact"), staged(target, force=True):
        pytest.fail("it was let in")


def test_the_current_folder_is_not_pulled_from_under_the_shell(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(target, "old")
    monkeypatch.chdir(target)
    with pytest.raises(OutputError, match="is the current folder"), staged(Path(), force=True):
        pytest.fail("it was let in")


def test_a_file_at_the_output_is_never_replaced(target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="is not an artifact"), staged(target, force=True):
        pytest.fail("it was let in")
    assert target.read_text(encoding="utf-8") == "a file"


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(target: Path) -> None:
    written(target, "old")
    link = target.with_name("current")
    link.symlink_to(target, target_is_directory=True)
    with staged(link, force=True) as folder:
        fill(folder, "new")
    assert link.is_symlink()
    assert content_of(target) == "new"
    assert beside(target) == ["current"]


def test_an_artifact_that_another_run_finished_first_is_not_replaced(target: Path) -> None:
    with pytest.raises(OutputError, match="exists: give --force"):  # noqa: PT012, SIM117
        with staged(target, force=False) as folder:
            fill(folder, "second")
            target.mkdir()
            fill(target, "first")
    assert content_of(target) == "first"
    assert beside(target) == []


def test_an_output_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="choose another output path"), staged(tmp_path / "file" / "x", force=False):
        pytest.fail("it was let in")


def test_a_replaced_artifact_of_a_dead_run_is_put_back(target: Path) -> None:
    written(target, "old")
    process = dead_process()
    target.rename(target.with_name(f".{target.name}.replaced-{process}"))
    target.with_name(f".{target.name}.partial-{process}").mkdir()
    clear_leftovers(target)
    assert content_of(target) == "old"
    assert beside(target) == []


def test_a_replaced_artifact_of_a_dead_run_goes_where_the_new_one_is_in_place(target: Path) -> None:
    written(target, "new")
    left = target.with_name(f".{target.name}.replaced-{dead_process()}")
    left.mkdir()
    fill(left, "old")
    clear_leftovers(target)
    assert content_of(target) == "new"
    assert beside(target) == []


def test_what_a_living_run_is_writing_is_left_alone(target: Path) -> None:
    target.parent.mkdir(parents=True)
    living = target.with_name(f".{target.name}.partial-{os.getppid()}")
    living.mkdir()
    strangers = target.with_name(f".{target.name}.partial-backup")
    strangers.mkdir()
    written(target, "new")
    assert beside(target) == sorted([living.name, strangers.name])


def test_too_little_space_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"needs 4611686018\.43 GB and .* has .* GB free"):
        check_space(tmp_path / "not" / "yet" / "there", 1 << 62)
    check_space(tmp_path / "not" / "yet" / "there", 1)


KEEPS_REPLACING = """
import sys
from pathlib import Path
from tests.export.write.fake_artifact import fill
from thinkport.export.write.staging import staged
target, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while True:
    number += 1
    with staged(target, force=True) as folder:
        fill(folder, str(number))
"""
ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX systems")
def test_killed_at_any_moment_the_target_is_whole_or_absent_and_the_next_run_mends_it(target: Path) -> None:
    written(target, "0")
    for _ in range(6):
        seen = int(content_of(target))
        command = [sys.executable, "-c", KEEPS_REPLACING, str(target), str(seen)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0.005, 0.05))
            process.send_signal(signal.SIGKILL)
        if target.exists():
            assert int(content_of(target)) >= seen
        clear_leftovers(target)
        assert int(content_of(target)) >= seen
        assert beside(target) == []


def listed(target: Path, name: str, content: str) -> None:
    """Put a file into an artifact and let its manifest list it, seal and all, as whoever forges one would."""
    path = target / name
    path.write_text(content, encoding="utf-8")
    record = FileRecord(bytes=path.stat().st_size, sha256=hash_file(path))
    manifest = json.loads((target / MANIFEST_NAME).read_bytes())
    manifest["files"] |= {name: record.model_dump(mode="json")}
    (target / MANIFEST_NAME).write_bytes(sealed(json.dumps(manifest | {"manifest_sha256": OPEN}).encode()))


def seal(target: Path) -> None:
    """Let the manifest say what its files are."""
    for path in sorted(target.iterdir()):
        if path.name != MANIFEST_NAME:
            listed(target, path.name, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["thesis.tex", "notes.json", "data.bin", "weights.safetensors", ".ssh"])
def test_a_file_that_no_export_writes_is_kept_though_the_manifest_lists_it(target: Path, name: str) -> None:
    written(target, "old")
    listed(target, name, "years of work")
    with pytest.raises(OutputError, match=rf"also holds {name}, which no export wrote"), staged(target, force=True):
        pytest.fail("it was let in")
    assert (target / name).read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "tokenizer.json"])
def test_a_file_that_somebody_changed_is_not_deleted(target: Path, name: str) -> None:
    written(target, "old")
    seal(target)
    with staged(target, force=True) as folder:  # as it was exported, it is replaced
        fill(folder, "old")
    seal(target)
    (target / name).write_text("words of mine", encoding="utf-8")
    with pytest.raises(OutputError, match=rf"{name} is not the file that the export wrote: move it away"):  # noqa: SIM117
        with staged(target, force=True):
            pytest.fail("it was let in")
    assert (target / name).read_text(encoding="utf-8") == "words of mine"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_folder_or_a_link_by_an_exports_name_is_not_deleted(target: Path, tmp_path: Path) -> None:
    written(target, "old")
    (target / "README.md").unlink()
    (target / "README.md").mkdir()
    with pytest.raises(OutputError, match=r"also holds README\.md"), staged(target, force=True):
        pytest.fail("it was let in")
    (target / "README.md").rmdir()
    (target / "README.md").symlink_to(tmp_path)
    with pytest.raises(OutputError, match=r"also holds README\.md"), staged(target, force=True):
        pytest.fail("it was let in")


def test_two_folders_are_exchanged_in_one_step_or_not_at_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name, encoding="utf-8")
    done = exchanged(tmp_path / "a", tmp_path / "b")
    found = [(tmp_path / name / "file").read_text(encoding="utf-8") for name in ("a", "b")]
    assert found == (["b", "a"] if done else ["a", "b"])
    if sys.platform == "linux":
        print("exchanged" if done else "this file system exchanges nothing")
    assert not exchanged(tmp_path / "a", tmp_path / "nothing")


def test_where_nothing_can_be_exchanged_two_renames_do(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinkport.runtime.machine.exchange.exchanged", lambda one, other: False)
    written(target, "old")
    with staged(target, force=True) as folder:
        fill(folder, "new")
    assert content_of(target) == "new"
    assert beside(target) == []


def test_no_message_names_the_folder_that_is_filled(target: Path) -> None:
    for error in (ArtifactError("{}/weights.bin is damaged"), OSError(errno.EIO, "Input/output error", "{}/cpu.onnx")):
        with pytest.raises(ThinkportError) as said:  # noqa: PT012, SIM117
            with staged(target, force=False) as folder:
                if isinstance(error, OSError):
                    raise OSError(errno.EIO, "Input/output error", f"{folder}/cpu.onnx")
                raise ArtifactError(str(error).format(folder))
        assert "partial" not in str(said.value)
        assert str(target) in str(said.value)


HOLDS = """
import sys
from pathlib import Path
from thinkport.export.write.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX systems")
def test_the_second_export_to_one_folder_is_refused_at_its_start(target: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        settings = ExportSettings(checkpoint=str(tmp_path / "nothing"), output=target)
        with pytest.raises(OutputError, match=r"another export is writing to .*: wait until it is done, or choose"):
            export(settings)
        link = tmp_path / "other name"
        link.symlink_to(target.parent, target_is_directory=True)
        with pytest.raises(OutputError, match="another export is writing"), claimed(link / target.name):
            pytest.fail("it was let in")
        with claimed(target.with_name("another artifact")):
            pass
        first.send_signal(signal.SIGKILL)
    with pytest.raises(CheckpointError, match=r"neither a folder nor a Hub id|nothing"):
        export(settings)  # the lock died with its process
    assert not target.parent.exists()


def test_two_exports_of_one_process_are_two(target: Path) -> None:
    with claimed(target), pytest.raises(OutputError, match="another export is writing"), claimed(target):
        pytest.fail("it was let in")
    with claimed(target):
        pass


def test_a_lock_on_a_file_that_its_holder_deleted_meanwhile_is_taken_anew(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = claim._locked
    with ExitStack() as first:
        first.enter_context(claimed(target))

        def later(file: IO[bytes]) -> bool:
            first.close()
            return locked(file)

        monkeypatch.setattr(claim, "_locked", later)
        with claimed(target), pytest.raises(OutputError, match="another export is writing"), claimed(target):
            pytest.fail("it was let in")
