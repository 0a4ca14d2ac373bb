"""The example of a cluster, on a Ray of this machine: a worker is killed, and every row has its one line."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[3] / "deploy" / "examples" / "batch_on_ray.py"
ROWS, FINISHED = 200, 20
# The example, whose workers note each row that they finished.
NOTING = f"""
import os, runpy
from thinkport.runtime.batch.batch_replies import BatchReplies
example = runpy.run_path({str(EXAMPLE)!r})

class NotingReplies(BatchReplies):
    def __call__(self, batch):
        answered = super().__call__(batch)
        with open(NOTED, "a") as file:
            file.write("".join(f"{{os.getpid()}} {{row}}\\n" for row in answered["id"]))
        return answered

names = example["main"].__globals__
names["answer"] = lambda asked, rows: example["answer"](asked, rows, NotingReplies)
example["main"]()
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's"),
]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def finished(noted: Path) -> list[tuple[int, str]]:
    whole = noted.read_text().split("\n")[:-1] if noted.exists() else []
    return [(int(pid), row) for pid, row in (line.split(" ", 1) for line in whole)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    pytest.importorskip("ray.data", reason="ray is not installed: pip install thinkport[ray]")
    return os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}


def test_a_worker_that_is_killed_loses_and_doubles_no_row(
    nano_artifact: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    rows = [{"id": f"row {at}", "prompt": f"What is {11 + at % 80}*{23 + at // 3}?"} for at in range(ROWS)]
    prompts = tmp_path / "p.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    alone, out, noted = tmp_path / "alone.jsonl", tmp_path / "out.jsonl", tmp_path / "noted"
    options = ["--think", "--temperature", "0", "--think-budget", "60", "--kernels", "off"]
    single = "from thinkport.runtime.cli.main import main; main()"
    command = [sys.executable, "-c", single, "batch", nano_artifact, prompts, "-o", alone, *options]
    subprocess.run(
        [*map(str, command), "--provider", "cpu", "--deterministic", "--threads", "1"], check=True, capture_output=True
    )

    program = tmp_path / "noting.py"
    program.write_text(NOTING.replace("NOTED", repr(str(noted))))
    arguments = [nano_artifact, prompts, "-o", out, *options, "--workers", "2", "--threads", "1", "--piece", "10"]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, str(program), *map(str, arguments)], stdout=log, stderr=log, env=environment
        )
        until, killed = monotonic() + 600, 0
        while running.poll() is None and monotonic() < until:
            counts = Counter(pid for pid, _ in finished(noted))
            if not killed and counts and max(counts.values()) >= FINISHED and len(counts) > 1:
                killed = counts.most_common(1)[0][0]
                os.kill(killed, signal.SIGKILL)
            sleep(0.005)
        code = running.wait(60)
    told = (tmp_path / "log").read_text()
    assert code == 0, told[-4000:]
    workers = Counter(pid for pid, _ in finished(noted))
    print(f"killed {killed} of {dict(workers)}")
    assert killed in workers
    assert len(workers) == 3, "Ray started no worker in place of the killed one"
    assert workers[killed] >= FINISHED
    found, expected = lines_of(out), lines_of(alone)
    assert [line["id"] for line in found] == [row["id"] for row in rows]
    texts = ("thought", "answer", "thinking_end", "thought_tokens")
    assert [[line[name] for name in texts] for line in found] == [[line[name] for name in texts] for line in expected]


def test_the_example_says_in_a_line_what_is_wrong(
    nano_artifact: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("")
    for arguments, told in (
        ([nano_artifact, tmp_path / "none.txt", "-o", tmp_path / "o.jsonl"], "none.txt can't be read"),
        ([nano_artifact, there, "-o", there], "is there already"),
    ):
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert told in done.stderr
        assert done.stderr.count("\n") == 1
