"""The reference pages of the Python API are built without a warning and have an entry for each public name."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pdoc", reason="pdoc is not installed; it is in the extra dev")
BUILDER = Path(__file__).parents[2] / "deploy" / "docs" / "api.py"
PARTS = ("runtime", "deploy", "export")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    command = [sys.executable, "-W", "error", str(BUILDER), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_every_public_name_has_an_entry(part: str, pages: Path) -> None:
    page = (pages / "thinkport" / f"{part}.html").read_text(encoding="utf-8")
    names = importlib.import_module(f"thinkport.{part}").__all__
    assert [name for name in names if f'id="{name}"' not in page] == []


def test_the_index_leads_to_each_part(pages: Path) -> None:
    index = (pages / "index.html").read_text(encoding="utf-8")
    assert all(f"thinkport/{part}.html" in index for part in PARTS)
