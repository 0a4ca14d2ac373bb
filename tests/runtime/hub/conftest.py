"""A Hub on this machine's loopback, a cache of its own, and a small artifact that is whole but computes nothing."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fake_hub import FakeHub

from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    server = FakeHub({})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def artifact(nano_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the nano artifact that a test may damage."""
    return shutil.copytree(nano_artifact, tmp_path / "artifact")


@pytest.fixture
def shared(hub: FakeHub, nano_artifact: Path) -> FakeHub:
    """The Hub with the nano artifact, and a file that its manifest doesn't list."""
    names = [MANIFEST_NAME, *read_manifest(nano_artifact).files]
    hub.files |= {name: (nano_artifact / name).read_bytes() for name in names} | {"notes.txt": b"not of the artifact"}
    return hub
