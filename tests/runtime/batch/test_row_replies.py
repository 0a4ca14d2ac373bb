"""Lines of rows: own rows and OpenAI's, rows that fail, seeds; and the same by pieces of a table."""

import json
from pathlib import Path
from threading import Barrier, Lock
from time import sleep
from typing import Any

import numpy as np
import pytest

from thinkport.runtime import Model, Thinking
from thinkport.runtime.batch.batch_replies import BatchReplies
from thinkport.runtime.batch.prompt_rows import PromptRow, row_of
from thinkport.runtime.batch.row_replies import RowReplies, failed, row_id, row_seed, written_tokens
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.reply.reply_maker import ReplyMaker
from thinkport.runtime.tools.response_format import Regex

QUESTION = "What is 86*57?"
ROWS = [{"id": number, "prompt": f"What is {number}*{number + 7}?"} for number in range(11, 17)]


@pytest.fixture(scope="module")
def nano(nano_artifact: Path) -> Any:
    with Model.load(nano_artifact, provider="cpu", kernels="off", deterministic=True) as model:
        yield model


def answered(replies: RowReplies, *records: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return [*replies.lines([row_of(record) for record in records], **options)]


def request(**body: Any) -> dict[str, Any]:
    return {"custom_id": "r", "body": {"messages": [{"role": "user", "content": QUESTION}], "seed": 3, **body}}


def test_a_line_has_the_reply_with_its_reasons_and_figures(nano: Model) -> None:
    thinking = Thinking(enabled=True, budget=30)
    (line,) = answered(RowReplies(nano, name="nano", seed=5, thinking=thinking), {"id": "q", "prompt": QUESTION})
    end = nano.generate(QUESTION, thinking=thinking, seed=row_seed(5, "q"))
    same = ("thought", "answer", "thinking_end", "answer_end", "thought_tokens", "answer_tokens", "forced_tokens")
    assert {name: line[name] for name in same} == {name: end.as_json()[name] for name in same}
    assert (line["id"], line["error"], line["seed"], line["thinking_end"]) == ("q", None, row_seed(5, "q"), "budget")
    assert line["seconds"] >= line["timings"]["thought"]["seconds"] > 0
    assert written_tokens(line) == end.thought_tokens + end.forced_tokens + end.answer_tokens
    assert not failed(line)


def test_a_row_that_fails_has_its_reason_and_the_next_row_its_reply(nano: Model) -> None:
    replies = RowReplies(nano, name="nano", thinking=False)
    lines = answered(replies, *({"id": text[:4], "prompt": text} for text in ("x" * 30_000, QUESTION)))
    assert lines[0].keys() == {"id", "error"}
    assert "context" in lines[0]["error"]
    assert [failed(line) for line in lines] == [True, False]
    assert lines[1]["answer"]


def said(line: dict[str, Any]) -> dict[str, Any]:
    """A line without its seconds, and what was reused or guessed ahead for it."""
    how = ("seconds", "timings", "cached_tokens", "drafted_tokens", "accepted_tokens")
    return {name: value for name, value in line.items() if name not in how}


def test_rows_that_are_answered_at_the_same_time_have_the_lines_of_rows_in_turn_in_their_order(
    nano: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[dict[str, Any]] = [{"id": "long", "prompt": QUESTION}, *ROWS, {"id": "fails", "prompt": "x" * 30_000}]
    replies = RowReplies(nano, name="nano", seed=7, thinking=Thinking(enabled=True, budget=40))
    begun, together = [], Barrier(3)
    own = replies._own

    def noting(row: PromptRow, *more: Any) -> dict[str, Any]:
        begun.append(row.id)
        if len(begun) <= 3:
            together.wait(30)  # three at a time, or this breaks
        if row.id == "long":
            while 14 not in begun:  # later rows end first
                sleep(0.001)
        return own(row, *more)

    monkeypatch.setattr(replies, "_own", noting)
    found = answered(replies, *rows, at_once=3)
    assert [line["id"] for line in found] == [row["id"] for row in rows]
    alone = answered(RowReplies(nano, name="nano", seed=7, thinking=Thinking(enabled=True, budget=40)), *rows)
    assert [*map(said, found)] == [*map(said, alone)]


def test_lines_that_nobody_wants_any_more_end_the_replies_in_progress(
    nano: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = RowReplies(nano, name="nano", thinking=False)
    begun, stops = [], list[Any]()

    def waiting(row: PromptRow, _: Engine, stop: Any) -> dict[str, Any]:
        begun.append(row.id)
        stops.append(stop)
        while row.id != ROWS[0]["id"] and not stop.cancelled:
            sleep(0.001)
        return {"id": row.id, "error": None}

    monkeypatch.setattr(replies, "_own", waiting)
    lines = replies.lines([row_of(row) for row in ROWS], at_once=2)
    assert next(lines)["id"] == ROWS[0]["id"]
    lines.close()
    assert len(begun) <= 3, "rows that had not begun never do"
    assert all(stop.cancelled for stop in stops)


@pytest.mark.parametrize(
    ("width", "body", "most"),
    [
        (1, None, 8),
        (3, None, 2),
        (8, None, 1),
        (1, {"thinking_width": 4}, 2),
        (4, {}, 2),
        (4, {"thinking_width": 1}, 8),
    ],
)
def test_rows_of_several_thoughts_take_the_places_of_as_many_rows(
    nano_artifact: Path, monkeypatch: pytest.MonkeyPatch, width: int, body: dict[str, Any] | None, most: int
) -> None:
    going, highest, lock = 0, 0, Lock()

    def waiting(row: PromptRow, *_: Any) -> dict[str, Any]:
        nonlocal going, highest
        with lock:
            going += 1
            highest = max(highest, going)
        sleep(0.05)
        with lock:
            going -= 1
        return {"id": row.id, "error": None}

    monkeypatch.setattr(RowReplies, "_own", lambda _, *row: waiting(*row))
    monkeypatch.setattr(RowReplies, "_request", lambda _, *row: waiting(*row))
    rows = [{"id": at, "prompt": QUESTION} if body is None else request(**body) for at in range(16)]
    thinking = Thinking(enabled=True, width=width)
    with Model.load(nano_artifact, provider="cpu", kernels="off", thinking=thinking) as model:
        assert len(answered(RowReplies(model, name="nano"), *rows)) == 16
    assert highest <= most


def test_rows_share_steps_with_our_own_kernels_and_get_the_lines_of_rows_in_turn(
    native_kernels: None, nano_artifact: Path
) -> None:
    options: dict[str, Any] = {"name": "nano", "seed": 3, "thinking": Thinking(enabled=True, budget=60)}
    found = {}
    for rows in (1, 4):
        with Model.load(nano_artifact, provider="cpu", kernels="auto", rows=RowSettings(max_rows=rows)) as model:
            found[rows] = [*map(said, answered(RowReplies(model, **options), *ROWS))]
            assert (model.at_once, model.steps.shared_steps > 0) == (rows, rows > 1)
            chosen = model.provider_report.chosen
            assert chosen is not None
            assert chosen.kernels is not None, f"standard kernels promise no equal replies: {model.provider_report}"
    for shared, alone in zip(found[4], found[1], strict=True):
        assert {name: shared[name] for name in alone if shared[name] != alone[name]} == {}, alone


def test_a_memory_limit_keeps_rows_from_being_refused_for_others_memory(nano_artifact: Path) -> None:
    loading: dict[str, Any] = {"provider": "cpu", "kernels": "off", "prefix_cache_bytes": 0}
    with Model.load(nano_artifact, **loading) as model:
        whole = model.session.kv_size.bytes(model.session.context_length)
        assert model.at_once == RowSettings.max_rows
    for limit, rows in ((whole // 2, 1), (3 * whole, 3), (100 * whole, RowSettings.max_rows)):
        with Model.load(nano_artifact, memory_limit=limit, **loading) as model:
            assert model.at_once == rows


def test_seeds_differ_by_row_and_not_by_order_and_number_and_text_are_one_id() -> None:
    seeds = {row_seed(seed, row) for seed in (0, 1) for row in ("a", "b", 1)}
    assert len(seeds) == 6
    assert row_seed(4, 1) == row_seed(4, "1")
    assert row_seed(0, "a") < 1 << 48


def test_options_that_no_reply_could_be_made_with_are_refused_before_any_row(nano: Model) -> None:
    with pytest.raises(InputError, match="regular expression"):
        RowReplies(nano, name="nano", response_format=Regex("("))
    with pytest.raises(InputError, match="temperature"):
        RowReplies(nano, name="nano", sampling={"temperature": -1})


def test_a_request_of_openais_batches_gets_what_the_server_sends(nano: Model) -> None:
    openai = pytest.importorskip("openai.types.chat", reason="openai is not installed")
    row = row_of(request(n=2, reasoning_effort="low", tools=[{"type": "web_search"}]))
    replies = RowReplies(nano, name="nano", thinking=Thinking(enabled=False))
    replies.check([row])
    (line,) = replies.lines([row])
    assert (line["custom_id"], line["error"], line["response"]["status_code"]) == ("r", None, 200)
    assert "web_search" in line["response"]["note"]
    completion = openai.ChatCompletion.model_validate(line["response"]["body"])
    end = nano.generate(QUESTION, thinking=Thinking(enabled=True, budget=512), seed=3)
    assert completion.choices[0].message.content == end.answer
    assert len(completion.choices) == 2
    assert line["response"]["body"]["choices"][0]["thinking"]["end"] == end.thinking_end
    assert written_tokens(line) == completion.usage.completion_tokens > 0
    assert not failed(line)
    assert row_id(line) == "r"


def test_nothing_is_run_for_a_next_turn(nano: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    begin = ReplyMaker.begin

    def noting(*given: Any, settles: bool = False, **more: Any) -> Any:
        asked.append(settles)
        return begin(*given, settles=settles, **more)

    monkeypatch.setattr(ReplyMaker, "begin", noting)
    monkeypatch.setattr(Engine, "settles_beside", True)  # as with thinkport's own kernels
    replies = RowReplies(nano, name="nano", thinking=Thinking(enabled=False))
    assert not any(failed(line) for line in answered(replies, ROWS[0], request(max_tokens=3)))
    assert asked == [False] * 3  # the first one tries the options


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"temperatur": 1}, 400, "did you mean 'temperature'"),
        ({"messages": [{"role": "user", "content": "x" * 30_000}]}, 400, "context"),
        ({"response_format": {"type": "regex", "pattern": "("}}, 400, "regular expression"),
    ],
)
def test_a_request_that_fails_has_its_status(nano: Model, body: dict[str, Any], status: int, told: str) -> None:
    (line,) = answered(RowReplies(nano, name="nano"), request(**body))
    assert line["response"]["status_code"] == status
    assert told in line["response"]["body"]["error"]["message"]
    assert failed(line)
    assert written_tokens(line) == 0


def test_what_would_fail_row_by_row_is_refused_at_once(nano: Model) -> None:
    row = row_of(request())
    with pytest.raises(InputError, match="asks for the model 'gpt-4o', expected 'nano'"):
        RowReplies(nano, name="nano").check([row_of(request(model="gpt-4o"))])
    with pytest.raises(InputError, match="max_tokens, seed can't be given for rows whose bodies have their own"):
        RowReplies(nano, name="nano", seed=1, max_tokens=5).check([row])
    RowReplies(nano, name="nano", seed=1, max_tokens=5).check([row_of(ROWS[0])])


def test_pieces_of_a_table_give_the_lines_of_the_rows(nano: Model, nano_artifact: Path) -> None:
    options: dict[str, Any] = {"seed": 2, "thinking": Thinking(enabled=True, budget=20)}
    replies = RowReplies(nano, name="nano", **options)
    expected = {str(line["id"]): line["answer"] for line in answered(replies, *ROWS)}
    loading = {"provider": "cpu", "kernels": "off", "deterministic": True}
    worker = BatchReplies(nano_artifact, loading=loading, **options)
    found: dict[str, str] = {}
    for rows in (ROWS[4:], ROWS[:4]):
        columns = {name: np.array([row[name] for row in rows]) for name in ("id", "prompt")} | {
            "more": np.ones(len(rows))
        }
        piece = worker(columns)
        assert piece["error"].tolist() == [""] * len(rows)
        assert [json.loads(line)["id"] for line in piece["line"]] == piece["id"].tolist() == columns["id"].tolist()
        found |= zip(map(str, piece["id"].tolist()), piece["answer"].tolist(), strict=True)
    assert found == expected


def test_a_table_may_hold_messages_and_bodies_nested_or_as_json(nano_artifact: Path) -> None:
    worker = BatchReplies(nano_artifact, loading={"provider": "cpu", "kernels": "off"}, thinking=False)
    nested = np.empty(2, object)
    nested[:] = [np.array([{"role": "user", "content": QUESTION, "tool_calls": None}]), request()["body"]["messages"]]
    piece = worker({"id": np.array(["a", "b"]), "messages": nested})
    assert piece["error"].tolist() == ["", ""]
    bodies = np.array([json.dumps(request(max_tokens=3)["body"]), json.dumps({"messages": []})], object)
    piece = worker({"custom_id": np.array(["c", "d"]), "body": bodies})
    assert piece["id"].tolist() == ["c", "d"]
    assert (piece["answer"][0] != "", piece["error"][0]) == (True, "")
    assert (piece["answer"][1], "messages" in piece["error"][1]) == ("", True)
    with pytest.raises(InputError, match="the columns are prompt, expected id or custom_id"):
        worker({"prompt": np.array([QUESTION])})
    with pytest.raises(InputError, match=r"messages is .*, which is no JSON"):
        worker({"id": np.array(["e"]), "messages": np.array(["[{"], object)})
