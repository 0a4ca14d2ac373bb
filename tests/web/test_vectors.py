"""The vectors that the engine in TypeScript is held against are what this runtime gives."""

import pytest
from tests.web.vectors import FOLDER, VECTORS, written

LARGEST = 300_000  # bytes of all files


@pytest.mark.parametrize("name", VECTORS)
def test_a_file_of_vectors_is_what_the_runtime_gives_now(name: str) -> None:
    found = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert found == written(name), "write them again: python -m tests.web.vectors"


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= LARGEST
