"""The rows of a file: what is read, and what is refused before anything runs, by its line."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.batch.prompt_rows import PromptRow, _cells, read_rows, row_of
from thinkport.runtime.errors import InputError

BODY = {"model": "nano", "messages": [{"role": "user", "content": "hi"}]}


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_objects_have_an_id_or_the_number_of_their_line(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "b"}]}]
    records = [{"id": "a", "prompt": "x\u2028y"}, {"id": 7, "messages": messages, "task": "kept elsewhere"}]
    lines = [*map(json.dumps, records), "", '{"prompt": "third"}\r']
    rows = read_rows(written(tmp_path, "p.jsonl", "\ufeff" + "\n".join(lines)))
    assert [row.id for row in rows] == ["a", 7, 4]
    assert rows[0].messages == said("x\u2028y")
    assert rows[1].messages == [messages[0], {"role": "user", "content": "b"}]
    assert rows[2].messages == said("third")


def test_a_text_has_a_prompt_a_line_and_a_table_has_a_column(tmp_path: Path) -> None:
    text = read_rows(written(tmp_path, "p.txt", "one\n\n two \r\n"))
    assert text == [PromptRow(id=1, messages=said("one")), PromptRow(id=3, messages=said(" two "))]
    table = read_rows(written(tmp_path, "p.CSV", 'id,prompt,note\nx,"two\nlines, and ""more""",n\n3,plain,\n'))
    assert table == [
        PromptRow(id="x", messages=said('two\nlines, and "more"')),
        PromptRow(id="3", messages=said("plain")),
    ]


def test_a_cell_may_be_longer_than_pythons_limit_which_is_left_to_other_readers(tmp_path: Path, monkeypatch) -> None:
    prompt = "x" * 200_000
    monkeypatch.setattr(csv, "field_size_limit", lambda *_: pytest.fail("it holds for the whole process"))
    (row,) = read_rows(written(tmp_path, "p.csv", f'prompt\n"{prompt}"\n'))
    assert row.messages == said(prompt)


@given(
    st.lists(st.lists(st.text(' ",\nax\u2028'), min_size=2, max_size=2), min_size=1), st.sampled_from(["\n", "\r\n"])
)
def test_what_pythons_module_writes_is_read_back(tmp_path_factory, rows: list[list[str]], end: str) -> None:
    text = StringIO()
    csv.writer(text, lineterminator=end).writerows([["id", "prompt"], *rows])
    file = tmp_path_factory.getbasetemp() / "p.csv"
    assert [cells for _, cells in _cells(text.getvalue(), file)] == [["id", "prompt"], *rows]


@pytest.mark.parametrize("name", ["p.txt", "p.csv"])
def test_only_line_ends_end_a_prompt(tmp_path: Path, name: str) -> None:
    prompt = "a\u2028b\u0085c\x0cd"
    head = "prompt\n" if name == "p.csv" else ""
    rows = read_rows(written(tmp_path, name, f"{head}{prompt}\r\nsecond\n"))
    assert [row.messages for row in rows] == [said(prompt), said("second")]


def test_requests_of_openais_batches_are_rows(tmp_path: Path) -> None:
    request = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": BODY}
    assert read_rows(written(tmp_path, "p.jsonl", json.dumps(request))) == [PromptRow(id="r-1", body=BODY)]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.jsonl", "", "has no prompts, expected one a line"),
        ("p.jsonl", '{"prompt": "a"}\n{', "line 2: found no JSON"),
        ("p.jsonl", "[" * 100_000, "line 1: found no JSON"),
        ("p.jsonl", "[1]", "line 1: found a JSON list, expected an object"),
        ("p.jsonl", b"\xff", "is no UTF-8 (invalid start byte at byte 0)"),
        ("p.jsonl", '{"prompt": "a", "id": "1"}\n{"prompt": "b", "id": 1}', "line 2: the id 1 is there before"),
        ("p.txt", "  \n", "has no prompts"),
        ("p.csv", "id,promt\n1,a\n", "line 2: found neither, but id, promt, expected either prompt or messages"),
        ("p.csv", "prompt\na,b\n", "line 2: it has not as many cells as the header"),
        ("p.csv", 'prompt\n"a', "line 2: found no CSV"),
        ("p.csv", 'prompt\n"a\nb"\n"c"d\n', "line 4: found no CSV"),
        ("p.csv", "prompt,id,prompt\na,1,b\n", "line 1: the header names prompt twice"),
        ("p.parquet", b"PAR1\xff", "is no .jsonl, .csv or .txt"),
    ],
)
def test_a_file_that_can_not_be_answered_is_refused(tmp_path: Path, name: str, text: str | bytes, told: str) -> None:
    with pytest.raises(InputError) as refused:
        read_rows(written(tmp_path, name, text))
    assert told in str(refused.value)
    assert "p." in str(refused.value)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: No such file"):
        read_rows(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"id": 1}, "found neither, but id, expected"),
        ({}, "found neither, but no field, expected"),
        ({"id": 1, "prompt": "a", "messages": said("a")}, "found prompt and messages"),
        ({"id": 1, "prompt": " "}, "prompt is ' '"),
        ({"id": 1, "prompt": 5}, "prompt is 5"),
        ({"id": None, "prompt": "a"}, "id is None"),
        ({"id": True, "prompt": "a"}, "id is True"),
        ({"id": 1.5, "prompt": "a"}, "id is 1.5"),
        ({"id": 1, "prompt": "a", "seed": 3, "temperature": 0}, "seed, temperature: a row says no more"),
        ({"id": 1, "prompt": "a", "stop": ["\n"]}, "stop: a row says no more"),
        ({"id": 1, "prompt": "\ud800"}, "half of a surrogate pair"),
        ({"id": 1, "messages": []}, "there are no messages"),
        ({"id": 1, "messages": [{"role": "robot", "content": "a"}]}, "role is 'robot'"),
        ({"id": 1, "messages": "hi"}, "expected a list of mappings"),
        ({"custom_id": 1, "url": "/v1/embeddings", "body": {}}, "it asks for POST /v1/embeddings"),
        ({"custom_id": 1, "body": "x"}, "body is 'x', expected an object"),
        ({"custom_id": "", "body": {}}, "custom_id is ''"),
        ({"custom_id": 1, "body": {**BODY, "stream": True}}, "a batch streams nothing"),
    ],
)
def test_a_row_of_another_form_is_told_what_is_wrong(record: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as refused:
        row_of(record)
    assert told in str(refused.value)
