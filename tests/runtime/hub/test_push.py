"""An artifact is pushed whole and in one commit, or not at all."""

from pathlib import Path

import pytest
from tests.fake_hub import COMMIT, REPO, TOKEN, FakeHub

from thinkport.runtime import ArtifactError, InputError
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
from thinkport.runtime.hub import pull, push


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.mark.usefixtures("logged_in")
def test_what_was_pushed_is_pulled_again(
    hub: FakeHub, artifact: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (artifact / "notes.txt").write_text("mine")
    assert push(artifact, REPO, private=True, endpoint=hub.url) == COMMIT
    assert hub.commits == [f"main: {read_manifest(artifact).name}, a thinkport artifact"]
    assert hub.private
    assert set(hub.files) == {MANIFEST_NAME, *read_manifest(artifact).files}
    pulled = pull(REPO, endpoint=hub.url, cache_dir=tmp_path / "hub").folder
    assert (pulled / "weights.bin").read_bytes() == (artifact / "weights.bin").read_bytes()
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("logged_in")
def test_a_branch_and_a_message_may_be_named(hub: FakeHub, artifact: Path) -> None:
    push(artifact, REPO, branch="fast", message="A faster one", endpoint=hub.url)
    assert hub.commits == ["fast: A faster one"]


@pytest.mark.usefixtures("logged_in")
def test_a_model_card_may_be_edited_on_the_way(hub: FakeHub, artifact: Path, tmp_path: Path) -> None:
    (artifact / "README.md").write_text("Words of mine.\n")
    push(artifact, REPO, endpoint=hub.url)
    pulled = pull(REPO, tmp_path / "copy", endpoint=hub.url, cache_dir=tmp_path / "hub").folder
    assert (pulled / "README.md").read_text() == "Words of mine.\n"


@pytest.mark.usefixtures("logged_in")
def test_an_artifact_that_is_not_whole_is_not_pushed(hub: FakeHub, artifact: Path) -> None:
    with (artifact / "weights.bin").open("r+b") as file:
        file.write(b"?")
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
        push(artifact, REPO, endpoint=hub.url)
    assert not hub.files


def test_who_is_not_logged_in_is_told_how(
    hub: FakeHub, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(InputError, match="log in with `hf auth login`"):
        push(artifact, REPO, endpoint=hub.url)
    assert not hub.files


@pytest.mark.parametrize("ref", ["name", f"{REPO}@v1", "a/b/c"])
def test_a_name_of_another_form_is_refused(hub: FakeHub, artifact: Path, ref: str) -> None:
    with pytest.raises(InputError, match="expected OWNER/NAME"):
        push(artifact, ref, endpoint=hub.url)
