"""The rows of a batch as a table that others cut into pieces: a class for `map_batches` of Ray Data.

Knows columns of arrays; nothing here imports Ray.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.batch.prompt_rows import row_of
from thinkport.runtime.batch.row_replies import RowReplies, failed
from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model

Columns = dict[str, NDArray[Any]]
_NESTED = ("messages", "body")


class BatchReplies:
    """Answers pieces of a table, with a model that is loaded once: one a worker.

    `dataset.map_batches(BatchReplies, fn_constructor_args=["artifacts/nano-int4"], …)`; `fn_constructor_kwargs` has
    the options. A piece has the columns of a batch's rows: `id` and `prompt`, or `messages` (lists, or JSON texts of
    them), or `custom_id` and `body` for requests of OpenAI's batches. It becomes as many rows in the same order:

    - `id`: as it came.
    - `answer`: the text of the reply; empty where there is none.
    - `error`: why a row was not answered; empty where it was.
    - `line`: all of it as `thinkport batch` writes it, a JSON text.

    Its replies are those of `thinkport batch` with the same options, bit for bit with `loading={"deterministic": True}`
    or with thinkport's own kernels, and on CPUs of one kind.
    """

    def __init__(
        self,
        artifact: str | Path,
        *,
        loading: Mapping[str, Any] | None = None,
        seed: int | None = None,
        **options: Any,
    ):
        """Load the artifact, a folder that every worker sees or an id on the Hub.

        `loading` are options of `Model.load`, such as `threads`; `options` those of `Model.generate`.

        Raises:
            ThinkportError: it can't be loaded, or an option can't be met.
        """
        self._model = Model.load(artifact, thinking=options.get("thinking"), **(loading or {}))
        self._replies = RowReplies(self._model, name=Path(artifact).name, seed=seed, **options)

    def __call__(self, batch: Columns) -> Columns:
        """The replies to the rows of a piece.

        Raises:
            InputError: a row of another form, or the columns have neither `id` nor `custom_id`.
            ThinkportError: no row can be answered any more.
        """
        known = next((name for name in ("custom_id", "id") if name in batch), None)
        if known is None:
            raise InputError(f"the columns are {', '.join(batch)}, expected id or custom_id among them")
        names = [name for name in batch if name in ("id", "custom_id", "prompt", *_NESTED)]
        cells = zip(*(batch[name].tolist() for name in names), strict=True)
        rows = [row_of({name: _plain(name, cell) for name, cell in zip(names, row, strict=True)}) for row in cells]
        self._replies.check(rows)
        lines = [*self._replies.lines(rows)]
        columns = {
            "answer": [_answer(line) for line in lines],
            "error": [_error(line) if failed(line) else "" for line in lines],
            "line": [json.dumps(line, ensure_ascii=False) for line in lines],
        }
        return {"id": batch[known]} | {name: np.array(column, object) for name, column in columns.items()}


def _plain(name: str, cell: Any) -> Any:
    """A cell as JSON data; tables fill in None for what a nested value lacks."""
    if isinstance(cell, str):
        return _json(name, cell) if name in _NESTED else cell
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, list):
        return [_plain("", one) for one in cell]
    if isinstance(cell, dict):
        return {key: _plain("", one) for key, one in cell.items() if one is not None}
    return cell


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is {text[:40]!r}, which is no JSON ({error})") from None


def _answer(line: Mapping[str, Any]) -> str:
    if "response" not in line:
        return str(line.get("answer", ""))
    choices = line["response"]["body"].get("choices") or [{}]
    return str(choices[0].get("message", {}).get("content") or "")


def _error(line: Mapping[str, Any]) -> str:
    return str(line["error"] or line["response"]["body"]["error"]["message"])
