"""Finds a suite by its name, or reads it from a JSONL file, each line of which is held against its shape."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.deploy.evaluation.shape import Shape, shape_of
from thinkport.deploy.evaluation.suite import Problem, Suite
from thinkport.runtime.errors import InputError

ARITHMETIC = "arithmetic"
_FILE_BUDGETS = (256, 512, 1024, 2048, 4096, 8192)
_FILE_MAX_TOKENS = 32768  # Qwen's README: an adequate output length for most queries


def find_suite(
    name: str,
    *,
    comparison: Comparison | None = None,
    question_field: str | None = None,
    answer_field: str | None = None,
    suffix: str | None = None,
) -> Suite:
    """The suite that thinkport brings under a name, else the one in the file of that name.

    `comparison` is for lines that name none; the fields replace those of the file's shape.

    Raises:
        InputError: neither is there, options for a file with a suite that is none, or a bad line.
    """
    if name != ARITHMETIC:
        return read_suite(
            Path(name),
            comparison=comparison,
            question_field=question_field,
            answer_field=answer_field,
            suffix=suffix,
        )
    if comparison or question_field or answer_field:
        raise InputError(f"the suite {name} has its own fields and comparison: leave the options for files out")
    return replace(arithmetic(), suffix=suffix)


def arithmetic() -> Suite:
    """The 600 held-out problems of thinkport's reference checkpoint: five tasks, 120 each, in a shuffled order."""
    data = files("thinkport.deploy.evaluation").joinpath("arithmetic.jsonl").read_text(encoding="utf-8")
    problems = tuple(Problem(**json.loads(line)) for line in data.splitlines())
    # The longest thought of the checkpoint has about 80 tokens; half of max_tokens may be kept for the answer.
    return Suite(name=ARITHMETIC, problems=problems, max_tokens=512, budgets=(8, 16, 24, 32, 48, 64, 96, 128))


def read_suite(
    path: Path,
    *,
    comparison: Comparison | None = None,
    question_field: str | None = None,
    answer_field: str | None = None,
    suffix: str | None = None,
) -> Suite:
    """Read a suite of a JSON object a line; empty lines are passed over.

    Raises:
        InputError: no such file, nothing in it, or a bad line, named by its number.
    """
    shape: Shape | None = None
    problems = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            shape = shape or shape_of(record, question_field, answer_field)
            problems.append(shape.problem(record, comparison))
        except InputError as error:
            raise InputError(f"{path} line {number}: {error}") from None
    if not problems:
        raise InputError(f"{path} has no problems, expected a JSON object a line with question and answer")
    return Suite(
        name=path.stem, problems=tuple(problems), suffix=suffix, max_tokens=_FILE_MAX_TOKENS, budgets=_FILE_BUDGETS
    )


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"no suite {str(path)!r}, expected {ARITHMETIC!r} or a JSONL file: check the path")
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"found no JSON ({error}), expected one object a line") from None
    if not isinstance(record, dict):
        raise InputError(f"found a JSON {type(record).__name__}, expected an object with question and answer")
    return record
