"""Answers the rows of a batch with a loaded model, several at a time. Must not know files."""

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from thinkport.runtime.batch.prompt_rows import PromptRow, RowId
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.row_settings import MOST_ROWS
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.model import Model
from thinkport.runtime.thinking.thinking import as_thinking

NO_NAME = (None, "", "default")
_AHEAD = 4  # times the rows that are answered at a time: lines that may wait for the one of an earlier row
_LOOK = 0.2  # seconds between two looks for the signals that Windows doesn't end a wait with

Line = dict[str, Any]


class RowReplies:
    """The replies of one model to rows, as lines of JSON data.

    A row that can't be answered (its prompt is too long, say) has a line too, with the reason. A row's seed is the sum
    of the batch's and of a hash of the row's id: it stays the same in whatever order and on whatever machine the row
    comes, and differs from row to row.
    """

    def __init__(self, model: Model, *, name: str, seed: int | None = None, **options: Any):
        """`options` are those of `Model.generate`, for rows of thinkport's own form; `name` is what bodies may call
        the model.

        Raises:
            InputError: options that no reply could be made with.
        """
        self._model, self._name, self._seed, self._options = model, name, seed, options
        self._idle: list[Engine] = [model.engine()]
        model.stream("?", engine=self._idle[0], seed=seed, **options).close()

    def check(self, rows: Iterable[PromptRow]) -> None:
        """Refuse what would fail row by row.

        Raises:
            InputError: a body asks for another model, or bodies have their own options and the batch has some too.
            MissingExtraError: bodies need the server's packages.
        """
        bodies = [row for row in rows if row.body is not None]
        if not bodies:
            return
        require("server", "starlette", "prometheus_client")
        set_here = sorted(name for name, value in self._options.items() if value is not None and name != "thinking")
        if set_here or self._seed is not None:
            named = ", ".join([*set_here, *([] if self._seed is None else ["seed"])])
            raise InputError(f"{named} can't be given for rows whose bodies have their own: leave the option out")
        for row in bodies:
            assert row.body is not None
            if (asked := row.body.get("model")) not in (*NO_NAME, self._name):
                raise InputError(
                    f"the row {row.id!r} asks for the model {asked!r}, expected {self._name!r}, 'default' or no model"
                )

    def lines(self, rows: Iterable[PromptRow], *, at_once: int | None = None) -> Generator[Line]:
        """Yield the lines of rows in their order; `at_once` of them are answered at a time.

        By default as many as write `Model.at_once` thoughts together. Closed early, it ends the replies in progress.

        Raises:
            ThinkportError: no row can be answered any more.
        """
        todo, begun, stop = deque(rows), deque[Future[Line]](), Stop()
        thoughts = max(map(self._thoughts, todo), default=1)
        with ThreadPoolExecutor(MOST_ROWS, "row") as threads, _cancelling(stop, begun):
            while todo or begun:
                going = [one for one in begun if not one.done()]
                stale = self._model.stale
                if stale and todo and not going:  # it would end replies in progress
                    self._model.refresh()
                most = 1 if stale else at_once or max(1, self._model.at_once // thoughts)
                if todo and len(going) < most and len(begun) < _AHEAD * most:
                    begun.append(threads.submit(self._line, todo.popleft(), stop))
                elif begun[0].done():
                    yield begun.popleft().result()
                else:
                    wait(going, _LOOK, FIRST_COMPLETED)

    def _thoughts(self, row: PromptRow) -> int:
        """How many thoughts at a time the reply to a row may write, each of which takes part in shared steps."""
        usual = self._model.thinking
        asked = (row.body or {}).get("thinking_width")  # which is checked with the rest of the body, in its turn
        width = (as_thinking(self._options.get("thinking"), usual) or usual).width
        return max(1, asked) if isinstance(asked, int) else width

    def _line(self, row: PromptRow, stop: Stop) -> Line:
        try:
            engine = self._idle.pop()
        except IndexError:
            engine = self._model.engine()
        try:
            if row.body is None:
                return self._own(row, engine, stop)
            return self._request(row, row.body, engine, stop)
        finally:
            self._idle.append(engine)

    def _own(self, row: PromptRow, engine: Engine, stop: Stop) -> Line:
        seed = None if self._seed is None else row_seed(self._seed, row.id)
        begun = perf_counter()
        try:
            end = self._model.generate(row.messages, engine=engine, stop=stop, seed=seed, **self._options)
        except InputError as error:
            return {"id": row.id, "error": str(error)}
        return {"id": row.id, "error": None, **end.as_json(), "seed": seed, "seconds": perf_counter() - begun}

    def _request(self, row: PromptRow, body: Mapping[str, Any], engine: Engine, stop: Stop) -> Line:
        """A line as OpenAI's batches have it, whose reply is what `thinkport serve` sends."""
        from thinkport.runtime.server.api_error import ApiError, failure

        note: dict[str, Any] = {}
        try:
            found, notes = self._completion(body, engine, stop)
            status, note = 200, {"note": "; ".join(notes)} if notes else {}
        except (ApiError, InputError) as error:
            told = failure(error)
            status, found = told.status, told.as_json()
        response = {"status_code": status, "request_id": f"{self._name}-{row.id}", "body": found, **note}
        return {"id": f"batch-{row.id}", "custom_id": row.id, "response": response, "error": None}

    def _completion(self, body: Mapping[str, Any], engine: Engine, stop: Stop) -> tuple[Line, tuple[str, ...]]:
        from uuid import uuid4

        from thinkport.runtime.server.chat_route import ChatReply, ChatRequest
        from thinkport.runtime.server.fields import checked_fields
        from thinkport.runtime.server.settings import ServerSettings

        asked = checked_fields(ChatRequest, dict(body))
        plan = asked.plan(self._model, ServerSettings())
        name, tokenizer = f"chatcmpl-{uuid4().hex}", self._model.tokenizer
        reply = ChatReply(name, self._name, tokenizer, logprobs=bool(asked.logprobs), live=False)
        for number in range(plan.replies):
            for event in plan.begin(engine, number, Stop(within=stop), last=True):
                deque(reply.events(number, event), maxlen=0)
        return reply.whole(), plan.notes


@contextmanager
def _cancelling(stop: Stop, begun: Iterable[Future[Line]]) -> Generator[None]:
    """End what was begun, and begin no more of it, where the block is left."""
    try:
        yield
    finally:
        stop.cancel()
        for one in begun:
            one.cancel()


def row_seed(seed: int, row: RowId) -> int:
    """The seed of a row: the batch's, plus 48 bits of the BLAKE2b hash of the row's id as text."""
    return seed + int.from_bytes(hashlib.blake2b(str(row).encode(), digest_size=6).digest())


def failed(line: Mapping[str, Any]) -> bool:
    """Whether a line says that its row was not answered."""
    return line.get("error") is not None or line.get("response", {}).get("status_code", 200) != 200


def row_id(line: Mapping[str, Any]) -> RowId:
    """The id of the row that a line answers."""
    found: RowId = line["custom_id"] if "custom_id" in line else line["id"]
    return found


def written_tokens(line: Mapping[str, Any]) -> int:
    """How many tokens a line's reply took."""
    if "response" in line:
        return int(line["response"]["body"].get("usage", {}).get("completion_tokens", 0))
    return sum(line.get(f"{part}_tokens", 0) for part in ("thought", "forced", "answer"))
