"""The rows of a batch: prompts of a file, each checked before the first is answered.

Knows files and the forms of a row; must not know models.

| name ends in      | a row is                                                                                     |
|-------------------|----------------------------------------------------------------------------------------------|
| `.jsonl`          | an object a line with `prompt` or `messages` and an `id`, or a request of OpenAI's batches   |
| `.csv`            | a line below a header that names `prompt`, and perhaps `id`                                  |
| `.txt`            | a line, which is the prompt                                                                  |

Blank lines are left out. A row without an `id` has the number of its line.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import InputError, did_you_mean
from thinkport.runtime.prompt.messages import checked
from thinkport.runtime.reply.reply_request import ReplyOptions

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
        found = " and ".join(given) or f"neither{did_you_mean('prompt', [*record])}"
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


def _table(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    reader, rows = csv.DictReader(StringIO(text, newline=""), strict=True), list[tuple[int, dict[str, Any]]]()
    before = csv.field_size_limit(max(len(text), 1))  # of the whole process; a cell may be a long document
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(f"{path} line {reader.line_num}: it has not as many cells as the header")
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: found no CSV ({error})") from None
    finally:
        csv.field_size_limit(before)
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 ({error.reason} at byte {error.start}): convert it first") from error
