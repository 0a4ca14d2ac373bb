"""`thinkport list`: which artifacts it finds on this machine, and how it says so."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from thinkport.runtime.artifact.manifest import MANIFEST_NAME
from thinkport.runtime.cli.main import main
from thinkport.runtime.errors import InputError
from thinkport.runtime.hub.local_artifacts import local_artifacts

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def bare(nano_artifact: Path, tmp_path: Path):
    """Makes folders that have an artifact's manifest and nothing else."""

    def make(*path: str) -> Path:
        folder = tmp_path.joinpath(*path)
        folder.mkdir(parents=True)
        shutil.copy(nano_artifact / MANIFEST_NAME, folder)
        return folder

    return make


@pytest.fixture(autouse=True)
def own_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


def listed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["thinkport", "list", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_artifacts_are_found_in_a_folder_and_two_below_it_and_in_the_hubs_cache(bare, tmp_path: Path) -> None:
    near = [bare("work", "a"), bare("work", "artifacts", "b")]
    bare("work", "x", "y", "too-deep")
    bare("work", ".hidden", "c")
    cached = bare("hub", "models--owner--some--name", "snapshots", COMMIT)
    found = local_artifacts([tmp_path / "work"])
    assert [one.folder for one in found] == [*near, cached]
    assert [one.repository for one in found] == [None, None, f"owner/some--name@{COMMIT}"]
    assert next(one.folder for one in local_artifacts([near[0]])) == near[0], "a folder that is one itself"


def test_an_artifact_that_is_reached_twice_is_listed_once(bare, tmp_path: Path) -> None:
    folder = bare("work", "a")
    (tmp_path / "work" / "linked").symlink_to(folder, target_is_directory=True)
    assert len(local_artifacts([tmp_path / "work", folder])) == 1


def test_a_manifest_that_cannot_be_read_is_a_warning_and_hides_no_other(
    bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare("work", "good")
    (bare("work", "bad") / MANIFEST_NAME).write_text("{", encoding="utf-8")
    listed(monkeypatch, str(tmp_path / "work"))
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "good" in "".join(out.split())
    assert err.startswith("thinkport: warning: ")
    assert "can't be read" in err


def test_a_name_that_a_stranger_wrote_can_not_steer_the_terminal(
    bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = bare("work", "a") / MANIFEST_NAME
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(facts | {"name": "nano\x1b[31m"}), encoding="utf-8")
    listed(monkeypatch, str(tmp_path / "work"))
    assert "\x1b" not in capsys.readouterr().out


def test_json_has_what_a_program_needs(
    bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bare("work", "a")
    listed(monkeypatch, str(tmp_path / "work"), "--json")
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["folder"], one["task"], one["can_think"]) == (str(folder.resolve()), "chat", True)
    assert "cpu.onnx" in one["graphs"]
    assert one["bytes"] > 1_000_000


def test_none_is_said_with_what_to_do_and_a_folder_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(monkeypatch, str(tmp_path))
    out, err = capsys.readouterr()
    assert out == ""
    assert "thinkport export CHECKPOINT -o DIR" in err
    with pytest.raises(InputError, match="is no folder"):
        local_artifacts([tmp_path / "nowhere"])
