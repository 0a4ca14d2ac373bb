"""`thinkport batch` as a program: its files, its exit codes, and that it goes on after whatever killed it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from time import sleep
from typing import Any

import pytest

PROGRAM = [sys.executable, "-c", "from thinkport.runtime.cli.main import main; main()", "batch"]
EXACT = ("--kernels", "off", "--provider", "cpu", "--deterministic")
KILLS = 20


def batch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def multiplications(n: int) -> list[dict[str, Any]]:
    return [{"id": f"row {at}", "prompt": f"What is {11 + at % 80}*{23 + at // 3}?"} for at in range(n)]


def test_a_file_of_prompts_becomes_a_line_a_reply_and_a_second_run_has_nothing_to_do(
    nano_artifact: Path, tmp_path: Path
) -> None:
    rows = multiplications(3)
    prompts = written(tmp_path / "p.jsonl", [rows[0], {"id": "long", "prompt": "x" * 30_000}, *rows[1:]])
    out = tmp_path / "out.jsonl"
    command = (nano_artifact, prompts, "-o", out, "--think-budget", 30, "--seed", 4, *EXACT)
    first = batch(*command)
    assert (first.returncode, first.stdout) == (1, "")
    assert first.stderr.startswith("3 of 4 rows answered, 1 failed; ")
    assert first.stderr.count("\n") == 1
    lines = lines_of(out)
    assert [line["id"] for line in lines] == ["row 0", "long", "row 1", "row 2"]
    assert "context" in lines[1]["error"]
    assert all(line["thinking_end"] in ("budget", "natural") for line in lines if line["error"] is None)
    again = batch(*command)
    assert (again.returncode, again.stderr) == (
        1,
        f"3 of 4 rows answered, 1 failed, 4 of them before this run: {out}\n",
    )
    assert lines_of(out) == lines
    other = batch(*command, "--temperature", "0")
    assert other.returncode == 2
    assert "was begun with other settings (sampling.temperature was null and is 0.0)" in other.stderr


def test_requests_of_openais_batches_are_answered(nano_artifact: Path, tmp_path: Path) -> None:
    body = {"model": "default", "messages": [{"role": "user", "content": "What is 86*57?"}], "seed": 1}
    prompts = written(tmp_path / "p.jsonl", [{"custom_id": "a", "body": body}])
    done = batch(nano_artifact, prompts, "-o", tmp_path / "o.jsonl", "--no-think", *EXACT)
    assert (done.returncode, done.stdout) == (0, "")
    (line,) = lines_of(tmp_path / "o.jsonl")
    assert line["response"]["status_code"] == 200
    assert line["response"]["body"]["choices"][0]["thinking"]["end"] == "off"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nowhere", "p.txt", "-o", "o.jsonl"], 3, "no artifact at nowhere"),
        (["ARTIFACT", "none.txt", "-o", "o.jsonl"], 2, "none.txt can't be read: No such file or directory"),
        (["ARTIFACT", "p.txt", "-o", "."], 2, "is no file, expected a file's name"),
        (["ARTIFACT", "p.txt", "-o", "p.txt"], 2, "p.txt is there, and p.txt.run, which would say"),
        (["ARTIFACT", "p.txt", "-o", "o.jsonl", "--no-think", "--think-budget", "5"], 2, "leave one out"),
        (["ARTIFACT", "p.txt", "-o", "o.jsonl", "--regex", "("], 2, "regular expression"),
        (["ARTIFACT", "p.txt", "-o", "p.txt/o.jsonl"], 2, "can't be written: "),
    ],
)
def test_one_line_says_what_is_wrong_and_nothing_is_written(
    nano_artifact: Path, tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    (tmp_path / "p.txt").write_text("What is 86*57?\n")
    given = [str(nano_artifact) if one == "ARTIFACT" else one for one in arguments]
    done = subprocess.run([*PROGRAM, *given], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert {one.name for one in tmp_path.iterdir()} == {"p.txt"}


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_run_that_is_killed_at_random_places_loses_and_doubles_no_row(nano_artifact: Path, tmp_path: Path) -> None:
    """Every other kill also cuts the output's end, as a machine that loses power may."""
    chance = random.Random(seed := random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}")
    rows = multiplications(200)
    prompts = written(tmp_path / "p.jsonl", rows)
    alone, out = tmp_path / "alone.jsonl", tmp_path / "out.jsonl"
    options = ("--think-budget", 60, "--seed", 9, *EXACT)
    assert batch(nano_artifact, prompts, "-o", alone, *options).returncode == 0
    wanted = alone.stat().st_size
    for kill in range(KILLS):
        there = out.stat().st_size if out.exists() else 0
        until = there + chance.randrange(wanted // KILLS)
        with subprocess.Popen(
            [*PROGRAM, *map(str, (nano_artifact, prompts, "-o", out, *options))], stderr=subprocess.PIPE
        ) as run:
            while run.poll() is None and (out.stat().st_size if out.exists() else 0) < until:
                sleep(0.001)
            sleep(chance.random() * 0.05)  # anywhere within a reply, or within the start where nothing is waited for
            assert run.poll() is None, "the run ended before it was killed"
            run.kill()
        assert run.returncode == -9
        if kill % 2 and out.exists():
            os.truncate(out, max(0, out.stat().st_size - chance.randrange(1, 400)))
    left = len(rows) - out.read_bytes().count(b"\n")
    last = batch(nano_artifact, prompts, "-o", out, *options)
    assert last.returncode == 0, last.stderr
    print(f"{KILLS} kills; the last run had {left} of {len(rows)} rows left")
    found = {line["id"]: (line["thought"], line["answer"], line["seed"]) for line in lines_of(out)}
    assert found == {line["id"]: (line["thought"], line["answer"], line["seed"]) for line in lines_of(alone)}
    assert len(lines_of(out)) == len(rows) == len(found)
    assert 0 < left < len(rows)
