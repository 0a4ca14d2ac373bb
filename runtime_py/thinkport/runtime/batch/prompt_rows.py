"""The rows of a batch: prompts of a file, each checked before the first is answered.

Knows files and the forms of a row; must not know models.

| name ends in      | a row is                                                                                     |
|-------------------|----------------------------------------------------------------------------------------------|
| `.jsonl`          | an object a line with `prompt` or `messages` and an `id`, or a request of OpenAI's batches   |
| `.csv`            | a line below a header that names `prompt`, and perhaps `id`                                  |
| `.txt`            | a line, which is the prompt                                                                  |

Blank lines are left out. A row without an `id` has the number of its line.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.messages import checked
from thinkport.runtime.reply.reply_request import ReplyOptions

_CELL = re.compile(r'(?:"([^"]*+(?:""[^"]*+)*+)"|([^",\r\n][^,\r\n]*+|))(,|\r\n|[\r\n]|\Z)')
_LINE_END = re.compile(r"\r\n|[\r\n]")
_ROUTE = "/v1/chat/completions"
# A row may have further fields, which nobody reads, but none that would seem to change its reply.
_OPTIONS = {*ReplyOptions.__annotations__, *(field.name for field in fields(SamplingSettings))} - {"engine"}

RowId = str | int


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """One prompt: `messages`, or the `body` of a request of OpenAI's batches, None for a row of another form."""

    id: RowId
    messages: Sequence[Mapping[str, Any]] = ()
    body: Mapping[str, Any] | None = None


def read_rows(path: Path) -> list[PromptRow]:
    """The rows of a file, in its order.

    Raises:
        InputError: it can't be read, holds no row, has another suffix, two rows of one id, or a bad row, named by its
            line.
    """
    rows: dict[str, PromptRow] = {}
    for line, record in _records(path):
        try:
            row = row_of(record, line)
        except InputError as error:
            raise InputError(f"{path} line {line}: {error}") from None
        if str(row.id) in rows:
            raise InputError(f"{path} line {line}: the id {row.id!r} is there before: give every row one of its own")
        rows[str(row.id)] = row
    if not rows:
        raise InputError(f"{path} has no prompts, expected one a line")
    return [*rows.values()]


def row_of(record: Mapping[str, Any], line: int | None = None) -> PromptRow:
    """The row of an object; `line` is its id where it has none.

    Raises:
        InputError: a field is missing, of another type or not meant for a row.
    """
    try:
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise InputError("it holds a number that JSON has not, or half of a surrogate pair") from None
    if "custom_id" in record:
        return _request_of(record)
    if options := _OPTIONS & record.keys():
        raise InputError(
            f"{', '.join(sorted(options))}: a row says no more than id and prompt or messages; give options to the "
            "command, or write rows of OpenAI's batches (custom_id and body), whose bodies have their own"
        )
    given = [name for name in ("prompt", "messages") if record.get(name) is not None]
    if len(given) != 1:
        found = " and ".join(given) or f"neither, but {', '.join([*record][:8]) or 'no field'}"
        raise InputError(f"found {found}, expected either prompt or messages")
    said = record[given[0]]
    if given == ["prompt"] and (not isinstance(said, str) or not said.strip()):
        raise InputError(f"prompt is {said!r}, expected a text that is not empty")
    messages = [{"role": "user", "content": said}] if given == ["prompt"] else said
    return PromptRow(id=_id(record.get("id", line), "id"), messages=checked(messages))


def _request_of(record: Mapping[str, Any]) -> PromptRow:
    """A line of OpenAI's batch files (https://platform.openai.com/docs/guides/batch)."""
    method, route, body = record.get("method", "POST"), record.get("url", _ROUTE), record.get("body")
    if (method, route) != ("POST", _ROUTE):
        raise InputError(f"it asks for {method} {route}, expected POST {_ROUTE}: nothing else runs as a batch here")
    if not isinstance(body, Mapping):
        raise InputError(f"body is {body!r}, expected an object, the body of a request to {_ROUTE}")
    if body.get("stream"):
        raise InputError("body.stream is true, and a batch streams nothing: leave it out")
    return PromptRow(id=_id(record["custom_id"], "custom_id"), body=body)


def _id(value: object, name: str) -> RowId:
    if isinstance(value, bool) or not isinstance(value, RowId) or value == "":
        raise InputError(f"{name} is {value!r}, expected a text that is not empty, or a whole number")
    return value


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    match path.suffix.lower():
        case ".jsonl":
            for line, said in _lines(_text(path)):
                yield line, _object(said, f"{path} line {line}")
        case ".csv":
            yield from _table(_text(path), path)
        case ".txt":
            yield from ((line, {"prompt": said}) for line, said in _lines(_text(path)))
        case _:
            raise InputError(
                f"{path} is no .jsonl, .csv or .txt, by which its form is known: give it one of these names"
            )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, by their numbers; other characters than line feeds, such as U+2028, end none."""
    return ((at, line.removesuffix("\r")) for at, line in enumerate(text.split("\n"), 1) if line.strip())


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: found no JSON ({error}), expected one object a line") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: found a JSON {type(record).__name__}, expected an object with prompt or messages")
    return record


def _table(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows below the header, by the line in which each ends; blank lines are left out."""
    header: list[str] | None = None
    for line, cells in _cells(text, path):
        if cells == [""]:
            continue
        if header is None:
            header = cells
            if twice := next((name for name in cells if name and cells.count(name) > 1), None):
                raise InputError(f"{path} line {line}: the header names {twice} twice")
        elif len(cells) != len(header):
            raise InputError(f"{path} line {line}: it has not as many cells as the header")
        else:
            yield line, dict(zip(header, cells, strict=True))


def _cells(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of RFC 4180; the module `csv` has one limit on cells, of 131,072 characters, for a whole process."""
    at, line, cells = 0, 1, list[str]()
    while at < len(text) or cells:
        found = _CELL.match(text, at)
        if found is None:
            raise InputError(f"{path} line {line}: found no CSV (a quoted cell does not end where its quotes do)")
        quoted, plain, end = found.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        at, line = found.end(), line + len(_LINE_END.findall(quoted or ""))
        if end != ",":
            yield line, cells
            cells, line = [], line + 1


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 ({error.reason} at byte {error.start}): convert it first") from error
