"""The output of a batch, cut anywhere: no row is lost or doubled, and other settings are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from thinkport.runtime.batch.batch_output import BatchOutput
from thinkport.runtime.errors import InputError

SETTINGS: dict[str, Any] = {"seed": 1, "thinking": {"enabled": "on", "budget": None}, "prompts": "0" * 64}
IDS = ["a", "2", "ü"]
LINES: list[dict[str, Any]] = [
    {"id": "a", "error": None, "answer": "x\u2028y"},
    {"id": 2, "error": "too long"},
    {"custom_id": "ü", "response": {"status_code": 200, "body": {}}, "error": None},
]


def run(path: Path, settings: dict[str, Any] = SETTINGS) -> tuple[int, int]:
    """How many rows were there, and how many failed in the end."""
    with BatchOutput(path, settings, IDS) as output:
        there = len(output.done)
        for line, row in zip(LINES, IDS, strict=True):
            if row not in output.done:
                output.add(line)
        return there, output.failed


def test_an_output_that_is_cut_at_any_byte_becomes_whole_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    assert run(path) == (0, 1)
    whole = path.read_bytes()
    assert [json.loads(line) for line in whole.decode().split("\n")[:-1]] == LINES
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert run(path) == (whole[:cut].count(b"\n"), 1)
        assert path.read_bytes() == whole
    assert run(path) == (3, 1)
    assert path.read_bytes() == whole
    assert {one.name for one in path.parent.iterdir()} == {"out.jsonl", "out.jsonl.run"}


def test_an_output_is_begun_again_where_nothing_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with BatchOutput(path, SETTINGS, IDS):
        pass
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "out.jsonl.run").write_text('{"seed": 9, "th')  # killed while the settings were written
    assert run(path) == (0, 1)
    assert json.loads((tmp_path / "out.jsonl.run").read_text()) == SETTINGS


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SETTINGS | {"seed": 2}, "seed was 1 and is 2"),
        (SETTINGS | {"thinking": {"enabled": "on", "budget": 5}}, "thinking.budget was null and is 5"),
        ({"seed": 1, "thinking": SETTINGS["thinking"]}, 'prompts was "000'),
    ],
)
def test_an_output_of_other_settings_is_refused_with_what_differs(
    tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    path = tmp_path / "out.jsonl"
    run(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="begun with other settings") as refused:
        run(path, settings)
    assert told in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"id": "a"}\n{"id": "a"}\n', "line 2 answers 'a', which an earlier line answers"),
        ('{"id": "b"}\n', "line 1 answers 'b', which no row has"),
        ("\n", "line 1 is no line of a batch"),
        ("[]\n", "line 1 is no line of a batch"),
        ('{"id": "a"}{"id": "2"}\n', "line 1 is no line of a batch"),
    ],
)
def test_lines_that_no_run_wrote_are_refused_and_kept(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "out.jsonl"
    run(path)
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        run(path)
    assert told in str(refused.value)
    assert path.read_text() == text


def test_a_file_that_no_run_made_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("mine\n")
    with pytest.raises(InputError, match=r"out.jsonl.run, which would say what made it, is not"):
        run(path)
    assert path.read_text() == "mine\n"
    with pytest.raises(InputError, match="is no file"):
        run(tmp_path)


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with BatchOutput(path, SETTINGS, IDS) as output:
        output.add(LINES[0])
        with pytest.raises(InputError, match="is being written by another run"):
            run(path)
        output.add(LINES[1])
    assert run(path) == (2, 1)
