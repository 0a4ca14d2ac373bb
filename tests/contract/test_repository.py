"""What is in git works on anybody's machine: no package index is named, and no path of one machine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A letter in brackets keeps this file from finding itself.
INDEXES = [r"[p]ypi\.org", r"[p]ythonhosted\.org", r"download\.[p]ytorch\.org", r"[n]pmjs\.org", r"[i]ndex-url"]
MACHINE = [r"[/]root/", r"[/]home/\w", r"[/]Users/\w", r"(?<!\w)[/]work/", r"[/]opt/(wheels|pypi)", r"[/]tmp/\w"]
PATTERN = re.compile("|".join(INDEXES + MACHINE))


def tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files are committed can't be told")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def test_committed_text_names_no_package_index_and_no_machines_path() -> None:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" in content[:4096]:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if hit := PATTERN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {hit[0]}")
    assert not found


@pytest.mark.parametrize("line", ["see {}home/ada/x", "cd {}root/x", "run {}work/main/x", "in {}tmp/x"])
def test_the_pattern_finds_what_it_is_for(line: str) -> None:
    assert PATTERN.search(line.format("/"))
