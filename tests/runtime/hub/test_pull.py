"""What is fetched of an artifact on the Hub, how it is checked, and what is said where there is none."""

import json
from pathlib import Path

import pytest
from tests.fake_hub import COMMIT, REPO, FakeHub

from thinkport.runtime import ArtifactError, InputError
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, check_files, read_manifest
from thinkport.runtime.hub import Progress, Pulled, pull

NOWHERE = "http://127.0.0.1:9"


def pull_from(hub: FakeHub, folder: Path, ref: str = REPO, output: Path | None = None) -> Pulled:
    return pull(ref, output, endpoint=hub.url, cache_dir=folder / "hub")


@pytest.mark.parametrize("ref", [REPO, f"{REPO}@v1", f"{REPO}@{COMMIT}"])
def test_the_manifests_files_are_fetched_and_no_others(shared: FakeHub, tmp_path: Path, ref: str) -> None:
    pulled = pull_from(shared, tmp_path, ref)
    assert (pulled.id, pulled.revision) == (REPO, COMMIT)
    assert {name for name, _ in shared.fetched} == {MANIFEST_NAME, *read_manifest(pulled.folder).files}


def test_a_copy_is_a_folder_of_plain_files(shared: FakeHub, tmp_path: Path) -> None:
    folder = pull_from(shared, tmp_path, output=tmp_path / "new" / "copy").folder
    check_files(folder, read_manifest(folder), verify=True)
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    assert [path.name for path in folder.parent.iterdir()] == ["copy"]


def test_a_folder_that_is_there_stays_as_it_is(shared: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already"):
        pull_from(shared, tmp_path, output=tmp_path)
    assert not shared.fetched


def test_what_was_fetched_is_not_fetched_again(shared: FakeHub, tmp_path: Path) -> None:
    for _ in range(2):
        pull_from(shared, tmp_path)
    assert len(shared.fetched) == len({name for name, _ in shared.fetched})


def test_progress_ends_at_the_size_of_the_files(shared: FakeHub, tmp_path: Path) -> None:
    seen: list[Progress] = []
    pulled = pull(REPO, endpoint=shared.url, cache_dir=tmp_path / "hub", progress=seen.append)
    size = sum(record.bytes for record in read_manifest(pulled.folder).files.values())
    assert seen[-1] == Progress(size, size)


def test_without_a_network_the_cache_serves(shared: FakeHub, tmp_path: Path) -> None:
    online = pull_from(shared, tmp_path)
    assert pull(REPO, endpoint=NOWHERE, cache_dir=tmp_path / "hub") == online


def test_without_a_network_or_a_cache_it_says_so_at_once_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ArtifactError, match="isn't whole in the local cache and the Hub can't be reached"):
        pull(REPO, endpoint=NOWHERE, cache_dir=tmp_path / "hub")
    assert not caplog.records  # the library logs each time that it tries again


def test_a_file_of_another_content_is_refused_every_time(shared: FakeHub, tmp_path: Path) -> None:
    weights = bytearray(shared.files["weights.bin"])
    weights[len(weights) // 2] ^= 1
    shared.files["weights.bin"] = bytes(weights)
    for _ in range(2):
        with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
            pull_from(shared, tmp_path)


def test_a_manifest_that_was_edited_is_refused(shared: FakeHub, tmp_path: Path) -> None:
    manifest = json.loads(shared.files[MANIFEST_NAME])
    shared.files[MANIFEST_NAME] = json.dumps(manifest | {"name": "another"}, indent=2).encode()
    with pytest.raises(ArtifactError, match="does not have the sha256 that it records of itself"):
        pull_from(shared, tmp_path)


def test_a_file_of_the_cache_that_changed_later_is_hashed_again(shared: FakeHub, tmp_path: Path) -> None:
    weights = pull_from(shared, tmp_path).folder / "weights.bin"
    weights.resolve().write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactError, match=r"weights\.bin does not have the recorded sha256"):
        pull_from(shared, tmp_path)


def test_a_checkpoint_is_told_from_an_artifact(hub: FakeHub, tmp_path: Path) -> None:
    hub.files["config.json"] = b"{}"
    with pytest.raises(ArtifactError, match=rf"export it first with `thinkport export {REPO} -o DIR`"):
        pull_from(hub, tmp_path)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("someone/nothing", "someone/nothing doesn't exist on the Hub, or is private"),
        (f"{REPO}@v2", f"{REPO} has no branch, tag or commit 'v2'"),
        ("someone/gated", "someone/gated is gated: accept its terms"),
    ],
)
def test_a_refusal_of_the_hub_is_one_sentence(shared: FakeHub, tmp_path: Path, ref: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        pull_from(shared, tmp_path, ref)
    assert "\n" not in str(caught.value)


def test_a_name_of_another_form_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected OWNER/NAME"):
        pull_from(hub, tmp_path, "a/b/c")
