"""What the window's page speaks to, over a real socket and without a window."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from thinkport.deploy.desktop.conversation_files import ConversationFiles
from thinkport.deploy.desktop.opening import Recent
from thinkport.deploy.desktop.stage import Stage
from thinkport.deploy.desktop.window_app import WindowApp
from thinkport.deploy.desktop.window_server import WindowServer
from thinkport.runtime.server import ServerSettings

KEY = "a-key-that-only-the-window-has"


class Answers:
    """Dialogs whose answers the test gives."""

    def __init__(self) -> None:
        self.chosen: Path | None = None
        self.asked: list[str] = []

    def folder(self) -> Path | None:
        return self.chosen

    def file(self, name: str) -> Path | None:
        self.asked.append(name)
        return self.chosen


class Window:
    """A window's server, its dialogs, and a client that came in as the web view does."""

    def __init__(self, folder: Path):
        settings = ServerSettings(port=0, api_key=KEY, grace_seconds=0)
        self.stage = Stage(Recent(folder / "recent.json"), settings, provider="cpu")
        self.dialogs = Answers()
        self.app = WindowApp(self.stage, ConversationFiles(folder / "desktop"), lambda: self.dialogs, settings)
        self.entry = self.app.entry
        self.server = WindowServer(self.app, settings, on_end=self.stage.end)
        self.client = httpx.Client(base_url=self.server.url, timeout=60)

    def state(self) -> Any:
        return self.client.get("/window/state").json()["opening"]

    def opened(self) -> Any:
        """The state once nothing is being opened."""
        until = monotonic() + 120
        while (state := self.state()) is not None and state["progress"] and monotonic() < until:
            sleep(0.02)
        return state


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Window]:
    one = Window(tmp_path)
    with one.server, one.client:
        yield one


@pytest.fixture
def entered(window: Window) -> Window:
    assert window.client.get(window.entry).status_code == 303
    return window


def test_the_address_of_the_window_works_once_and_holds_no_key(window) -> None:
    with httpx.Client(base_url=window.server.url) as other:
        assert other.get(f"{window.entry}x").status_code == 403
        assert other.get("/enter/\u00e9").status_code == 403
    first = window.client.get(window.entry)
    assert (first.status_code, first.headers["location"]) == (303, "/?window")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "samesite=strict" in first.headers["set-cookie"].lower()
    assert KEY not in window.entry
    with httpx.Client(base_url=window.server.url) as other:
        assert other.get(window.entry).status_code == 403
        assert "set-cookie" not in other.get(window.entry).headers


@pytest.mark.parametrize("path", ["/window/state", "/window/conversations", "/v1/models"])
def test_who_did_not_come_in_is_told_nothing(window, path) -> None:
    assert window.client.get(path).status_code == 401
    assert window.client.get(path, headers={"cookie": "thinkport-window=wrong"}).status_code == 401
    assert window.client.get("/enter/wrong").status_code == 403


def test_other_pages_and_names_are_refused(entered) -> None:
    assert entered.client.get("/window/state", headers={"origin": "https://example.com"}).status_code == 403
    assert entered.client.get("/window/state", headers={"host": "example.com"}).status_code == 403


def test_an_artifact_is_opened_and_talked_to(entered, nano_artifact) -> None:
    assert entered.state() == {"recent": [], "progress": None, "problem": None, "back": False}
    entered.dialogs.chosen = nano_artifact
    told = entered.client.post("/window/open", json={"folder": None}).json()["opening"]
    assert told["progress"] == {"name": nano_artifact.name, "what": "Looking at the files", "share": None}
    assert entered.opened() is None
    assert entered.client.get("/health").json()["model"] == nano_artifact.name
    asked = {"messages": [{"role": "user", "content": "What is 86*57?"}], "temperature": 0}
    reply = entered.client.post("/v1/chat/completions", json=asked).json()
    assert reply["choices"][0]["message"]["content"].strip() == "4902"


def test_a_dialog_without_an_answer_changes_nothing(entered) -> None:
    told = entered.client.post("/window/open", json={"folder": None}).json()["opening"]
    assert (told["progress"], told["problem"]) == (None, None)


def test_a_folder_that_is_none_is_told_and_the_one_before_stays(entered, nano_artifact, tmp_path) -> None:
    entered.client.post("/window/open", json={"folder": str(tmp_path)})
    assert "thinkport.json" in entered.opened()["problem"]
    entered.client.post("/window/open", json={"folder": str(nano_artifact)})
    assert entered.opened() is None
    entered.client.post("/window/open", json={"folder": str(tmp_path)})
    state = entered.opened()
    assert "thinkport.json" in state["problem"]
    assert state["back"] is True
    assert [one["folder"] for one in state["recent"]] == [str(nano_artifact.resolve())]
    assert entered.client.post("/window/back", json={}).json() == {"opening": None}
    assert entered.client.get("/health").json()["status"] == "ok"


def test_another_artifact_takes_the_place_of_the_first(entered, nano_artifact, tmp_path) -> None:
    copy = copytree(nano_artifact, tmp_path / "copy")
    for folder in (nano_artifact, copy):
        entered.client.post("/window/open", json={"folder": str(folder)})
        assert entered.opened() is None
        assert entered.client.get("/health").json()["model"] == folder.name


def test_a_file_is_written_where_the_person_says_or_not_at_all(entered, tmp_path) -> None:
    body = {"name": "../said.md", "text": "# Said\n"}
    assert entered.client.post("/window/save", json=body).json() == {"written": False}
    entered.dialogs.chosen = tmp_path / "said.md"
    assert entered.client.post("/window/save", json=body).json() == {"written": True}
    assert (tmp_path / "said.md").read_text(encoding="utf-8") == "# Said\n"
    assert entered.dialogs.asked == ["said.md", "said.md"]
    entered.dialogs.chosen = tmp_path / "recent.json" / "said.md"
    (tmp_path / "recent.json").touch()
    failed = entered.client.post("/window/save", json=body)
    assert "can't be written" in failed.json()["error"]["message"]


def test_conversations_and_preferences_are_kept(entered, tmp_path) -> None:
    said = {"id": "0123456789abcdef", "title": "said"}
    assert entered.client.put("/window/conversations/0123456789abcdef", json=said).status_code == 200
    assert entered.client.get("/window/conversations").json() == [said]
    assert entered.client.put("/window/conversations/..", json=said).status_code in (400, 404)
    assert entered.client.put("/window/conversations/nothex", json=said).status_code == 400
    assert entered.client.put("/window/preferences", json={"theme": "dark"}).status_code == 200
    assert entered.client.get("/window/preferences").json() == {"theme": "dark"}
    assert entered.client.delete("/window/conversations/0123456789abcdef").status_code == 200
    assert entered.client.get("/window/conversations").json() == []


def test_half_a_character_keeps_no_conversation_from_its_file(entered, tmp_path) -> None:
    cut = b'{"id": "0123456789abcdef", "title": "a \\ud83d"}'  # what a text of JavaScript ends with that was cut
    assert entered.client.put("/window/conversations/0123456789abcdef", content=cut).status_code == 200
    assert [one["title"] for one in entered.client.get("/window/conversations").json()] == ["a ?"]
    assert len([*(tmp_path / "desktop" / "conversations").iterdir()]) == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"folder": 1}'])
def test_a_request_that_makes_no_sense_is_told(entered, body) -> None:
    assert entered.client.post("/window/open", content=body).status_code == 400
