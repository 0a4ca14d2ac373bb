"""`thinkport chat` and `generate` as programs, on the nano artifact."""

import subprocess
import sys
from pathlib import Path

import pytest

MAIN = [sys.executable, "-c", "from thinkport.runtime.cli.main import main; main()"]


def test_a_line_that_cannot_be_answered_does_not_end_a_piped_chat(nano_artifact: Path) -> None:
    lines = "long " * 30000 + "\nWhat is 12*34?\n"
    command = [*MAIN, "chat", str(nano_artifact), "--seed", "0"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("408")
    assert "the prompt has" in done.stderr
    assert done.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_behind_the_output_is_one_sentence(nano_artifact: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [*MAIN, "generate", str(nano_artifact), "What is 12*34?"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert done.returncode != 0
