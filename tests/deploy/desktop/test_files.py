"""What the window does with files: artifacts of before, the first check, conversations, where the window was."""

import json
from pathlib import Path
from shutil import copytree

import pytest

from thinkport.deploy.desktop.conversation_files import ConversationFiles, write_file
from thinkport.deploy.desktop.opening import MOST, Recent, open_artifact
from thinkport.deploy.desktop.web_view import Placement
from thinkport.runtime import ArtifactError, InputError
from thinkport.runtime.artifact_loading import LoadProgress, LoadStage
from thinkport.runtime.machine.known_files import FileFacts

SAID = {"id": "0123456789ab", "title": "six times seven – ש"}


def test_the_latest_artifact_comes_first_and_each_comes_once(tmp_path: Path) -> None:
    recent, folders = Recent(tmp_path / "state" / "recent.json"), [tmp_path / str(at) for at in range(MOST + 2)]
    for folder in [*folders, folders[5]]:
        folder.mkdir(exist_ok=True)
        recent.add(folder)
    expected = [folders[5], *(folder for folder in reversed(folders) if folder != folders[5])][:MOST]
    assert Recent(recent.file).all() == expected


def test_a_relative_path_is_recorded_as_the_folder_that_it_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = Recent(tmp_path / "recent.json")
    for name in ("here", "there"):
        (tmp_path / name / "artifact").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    recent.add(Path("artifact"))
    monkeypatch.chdir(tmp_path / "there")
    assert recent.all() == [tmp_path / "here" / "artifact"]
    recent.file.write_text('[{"folder": "artifact"}]', encoding="utf-8")
    assert recent.all() == []


def test_a_folder_that_is_gone_is_not_offered(tmp_path: Path) -> None:
    recent = Recent(tmp_path / "recent.json")
    recent.add(tmp_path / "gone")
    assert recent.all() == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"folder": 1}]', "\x00"])
def test_a_damaged_list_of_artifacts_is_an_empty_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recent.json"
    file.write_text(text, encoding="utf-8")
    assert Recent(file).all() == []


def test_where_nothing_can_be_written_the_list_lasts_as_long_as_the_program(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    recent = Recent(tmp_path / "a-file" / "recent.json")
    recent.add(tmp_path)
    assert [str(one) for one in recent.all()] == [str(tmp_path)]


def test_an_artifact_is_checked_whole_the_first_time_only(
    nano_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileFacts, "tells", lambda *_: True)  # as of files that were not written just now
    folder = copytree(nano_artifact, tmp_path / "copy")
    recent = Recent(tmp_path / "recent.json")
    told: list[list[LoadProgress]] = []
    for _ in range(2):
        told.append([])
        model = open_artifact(folder, recent, provider="cpu", progress=told[-1].append)
        model.close()
    first, second = told
    shares = [one.done / one.total for one in first if one.stage is LoadStage.CHECK]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1
    assert second == [LoadProgress(stage=LoadStage.GRAPH)]


def test_a_damaged_copy_of_the_same_name_in_another_folder_is_found(
    nano_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileFacts, "tells", lambda *_: True)
    for name in ("whole", "damaged"):
        copytree(nano_artifact, tmp_path / name / "artifact")
    weights = bytearray((tmp_path / "damaged" / "artifact" / "weights.bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    (tmp_path / "damaged" / "artifact" / "weights.bin").write_bytes(weights)
    recent = Recent(tmp_path / "recent.json")
    monkeypatch.chdir(tmp_path / "whole")
    open_artifact(Path("artifact"), recent, provider="cpu", progress=lambda _: None).close()
    monkeypatch.chdir(tmp_path / "damaged")
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
        open_artifact(Path("artifact"), recent, provider="cpu", progress=lambda _: None)
    assert recent.all() == [tmp_path / "whole" / "artifact"]


def test_conversations_are_written_read_and_deleted(tmp_path: Path) -> None:
    files = ConversationFiles(tmp_path / "state")
    assert (files.all(), files.preferences()) == ([], {})
    files.put("0123456789ab", SAID)
    files.put("0123456789ac", {**SAID, "id": "0123456789ac"})
    files.keep({"theme": "dark"})
    assert ConversationFiles(tmp_path / "state").all() == [SAID, {**SAID, "id": "0123456789ac"}]
    assert files.preferences() == {"theme": "dark"}
    files.remove("0123456789ab")
    files.remove("0123456789ab")
    assert [one["id"] for one in files.all()] == ["0123456789ac"]


@pytest.mark.parametrize(
    "text", ["{", '{"a": NaN}', '{"a": "\\ud83d"}', "[" * 100_000], ids=["half", "NaN", "half a character", "deep"]
)
def test_a_damaged_conversation_is_left_out_and_left_alone(tmp_path: Path, text: str) -> None:
    files = ConversationFiles(tmp_path)
    files.put("0123456789ab", SAID)
    damaged = tmp_path / "conversations" / "0123456789ac.json"
    damaged.write_text(text, encoding="utf-8")
    assert files.all() == [SAID]
    assert damaged.is_file()


@pytest.mark.parametrize("name", ["../outside", "a/b", "", "0123456789ab.json", "C:0123456789"])
def test_a_conversations_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no conversation's name"):
        ConversationFiles(tmp_path).put(name, SAID)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_says_where_and_why_and_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(InputError, match="can't be written"):
        write_file(tmp_path / "a-file" / "such.md", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="choose another place"):
        write_file(tmp_path / "folder", "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file", "folder"]


def test_where_the_window_was_is_remembered_if_it_makes_sense(tmp_path: Path) -> None:
    file = tmp_path / "window.json"
    assert Placement.read(file) == Placement()
    Placement(width=900, height=700, x=-5, y=40).write(file)
    assert Placement.read(file) == Placement(width=900, height=700, x=-5, y=40)
    for text in ("{", "[]", '{"width": 3, "height": 2}', '{"size": 1}'):
        file.write_text(text, encoding="utf-8")
        assert Placement.read(file) == Placement()
    file.write_text(json.dumps({"width": "wide", "height": 700}), encoding="utf-8")
    assert Placement.read(file) == Placement()
