"""What the window does with files, without a window: artifacts of before, the first check, conversations."""

import json
from pathlib import Path
from shutil import copytree

import pytest

from thinkport.deploy.desktop.conversation_export import export_conversation, to_markdown
from thinkport.deploy.desktop.opening import MOST, Recent, open_artifact
from thinkport.runtime import ArtifactError, InputError
from thinkport.runtime.machine.known_files import FileFacts

SAID = [
    {"role": "user", "content": "What is 6*7?"},
    {"role": "assistant", "content": "**42**", "reasoning_content": "six\n\nsevens"},
]


def test_the_latest_artifact_comes_first_and_each_comes_once(tmp_path: Path) -> None:
    recent, folders = Recent(tmp_path / "state" / "recent.json"), [tmp_path / str(at) for at in range(MOST + 2)]
    for folder in [*folders, folders[5]]:
        folder.mkdir(exist_ok=True)
        recent.add(folder)
    expected = [folders[5], *(folder for folder in reversed(folders) if folder != folders[5])][:MOST]
    assert Recent(recent.file).all() == expected


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
    told: list[list[tuple]] = []
    for _ in range(2):
        told.append([])
        model = open_artifact(folder, recent, provider="cpu", on_progress=lambda *what: told[-1].append(what))
        model.close()
    first, second = told
    shares = [share for _, share in first if share is not None]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] < 1
    assert second == [("Looking at the files", None), ("Loading the model", None)]


def test_a_changed_byte_is_found_by_the_first_check(nano_artifact: Path, tmp_path: Path) -> None:
    folder = copytree(nano_artifact, tmp_path / "copy")
    weights = bytearray((folder / "weights.bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "weights.bin").write_bytes(weights)
    recent = Recent(tmp_path / "recent.json")
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
        open_artifact(folder, recent, provider="cpu", on_progress=lambda *_: None)
    assert recent.all() == []


def test_a_conversation_in_markdown_has_a_heading_a_message_and_quotes_thoughts() -> None:
    expected = "# Conversation with nano\n\n## You\n\nWhat is 6*7?\n\n## Model\n\n> six\n>\n> sevens\n\n**42**\n"
    assert to_markdown(SAID, artifact="nano") == expected


def test_a_conversation_in_json_has_the_messages_as_they_are(tmp_path: Path) -> None:
    export_conversation(tmp_path / "said.JSON", SAID, artifact="nano")
    told = json.loads((tmp_path / "said.JSON").read_text(encoding="utf-8"))
    assert told == {"artifact": "nano", "messages": SAID}
    assert [path.name for path in tmp_path.iterdir()] == ["said.JSON"]


def test_a_conversation_that_cannot_be_written_says_where_and_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be written"):
        export_conversation(tmp_path / "no" / "such.md", SAID, artifact="nano")
