"""Suites of problems: found by name, or read from a JSONL file, each of whose lines is checked against the file's
shape.

A shape says which fields hold question, answer and task, and how answers are compared. The first line decides it:
MATH-500 (https://huggingface.co/datasets/HuggingFaceH4/MATH-500: `problem`, `answer`, `subject`; boxed), GSM8K
(https://huggingface.co/datasets/openai/gsm8k: `question`, and an `answer` whose last line is `#### 42`; number), or
thinkport's own (`question`, `answer`, and optionally `task` and `compare`; exact).
"""

import json
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from thinkport.deploy.evaluation.comparison import Comparison, comparison_named
from thinkport.runtime.errors import InputError
from thinkport.runtime.thinking.number_text import numbers

# What Qwen's README recommends for mathematics: https://github.com/QwenLM/Qwen3, "best practices".
MATH_SUFFIX = "Please reason step by step, and put your final answer within \\boxed{}."
ARITHMETIC = "arithmetic"
_FILE_BUDGETS = (256, 512, 1024, 2048, 4096, 8192)
_FILE_MAX_TOKENS = 32768  # Qwen's README: an adequate output length for most queries
_FINAL = "####"  # GSM8K's mark before the final answer


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A question and its answer; `task` is the kind of problem, where a suite tells several apart."""

    question: str
    answer: str
    comparison: Comparison = Comparison.EXACT
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Problems in the order in which they are asked.

    suffix: a last line for every question; None adds `MATH_SUFFIX` to boxed ones and nothing to others. max_tokens: the
    longest reply, thought included; only the context limits it if None. budgets: thinking budgets worth measuring, in
    tokens.
    """

    name: str
    problems: tuple[Problem, ...]
    suffix: str | None = None
    max_tokens: int | None = None
    budgets: tuple[int, ...] = ()

    def first(self, n: int) -> "Suite":
        """The suite with its first `n` problems only.

        Raises:
            InputError: there are fewer.
        """
        if not 1 <= n <= len(self.problems):
            raise InputError(f"n is {n}, expected 1 to {len(self.problems)}, the problems of the suite {self.name}")
        return replace(self, problems=self.problems[:n])

    def prompt(self, problem: Problem) -> str:
        """What the model is asked."""
        suffix = self.suffix
        if suffix is None:
            suffix = MATH_SUFFIX if problem.comparison is Comparison.BOXED else ""
        return f"{problem.question}\n{suffix}" if suffix else problem.question


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The fields of a line, and the comparison of lines that name none."""

    question: str = "question"
    answer: str = "answer"
    task: str = "task"
    comparison: Comparison = Comparison.EXACT

    def problem(self, record: dict[str, Any], comparison: Comparison | None = None) -> Problem:
        """The problem of a line. Its own `compare` overrides `comparison`, which overrides the shape's.

        Raises:
            InputError: a field is missing or of another type, or the answer can't be compared that way.
        """
        compare = comparison_named(record.get("compare"), said="compare") or comparison or self.comparison
        answer = _text(record, self.answer)
        task = record.get(self.task)
        return Problem(
            question=_text(record, self.question),
            answer=_expected(answer, compare),
            comparison=compare,
            task=task if isinstance(task, str) else None,
        )


MATH_500 = Shape(question="problem", task="subject", comparison=Comparison.BOXED)
GSM8K = Shape(comparison=Comparison.NUMBER)
PLAIN = Shape()


def find_suite(
    name: str,
    *,
    comparison: Comparison | None = None,
    question_field: str | None = None,
    answer_field: str | None = None,
) -> Suite:
    """The suite of that name that thinkport brings, or the one in the file of that name.

    `comparison` is for lines that name none; the fields replace those of the file's shape.

    Raises:
        InputError: there is neither, a line is bad, or options for files come with a suite that is no file.
    """
    if name != ARITHMETIC:
        return read_suite(Path(name), comparison=comparison, question_field=question_field, answer_field=answer_field)
    if comparison or question_field or answer_field:
        raise InputError(f"the suite {name} has its own fields and comparison: leave the options for files out")
    return arithmetic()


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
) -> Suite:
    """Read a suite of a JSON object a line; empty lines are skipped.

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
            shape = shape or _shape_of(record, question_field, answer_field)
            problems.append(shape.problem(record, comparison))
        except InputError as error:
            raise InputError(f"{path} line {number}: {error}") from None
    if not problems:
        raise InputError(f"{path} has no problems, expected a JSON object a line with question and answer")
    return Suite(name=path.stem, problems=tuple(problems), max_tokens=_FILE_MAX_TOKENS, budgets=_FILE_BUDGETS)


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


def _shape_of(record: dict[str, Any], question_field: str | None = None, answer_field: str | None = None) -> Shape:
    """The shape of a file by its first line; given fields replace the shape's."""
    answer, shape = record.get("answer"), PLAIN
    if "problem" in record and "question" not in record:
        shape = MATH_500
    elif isinstance(answer, str) and answer.rstrip().rsplit("\n", 1)[-1].startswith(_FINAL):
        shape = GSM8K
    return replace(shape, question=question_field or shape.question, answer=answer_field or shape.answer)


def _text(record: dict[str, Any], field: str) -> str:
    """A field's text; a bare number counts as text."""
    if field not in record:
        close = get_close_matches(field, record, n=1)
        found = f"did you mean {close[0]!r}?" if close else f"found {', '.join(record) or 'none'}"
        raise InputError(f"no field {field!r}: {found} (--question-field and --answer-field name others)")
    value = record[field]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"field {field!r} holds {value!r}, expected a text that is not empty")
    return value


def _expected(answer: str, comparison: Comparison) -> str:
    """The answer as it is compared: of a worked solution, the part after `####`."""
    if comparison is Comparison.NUMBER:
        answer = answer.rsplit(_FINAL, 1)[-1].strip()
        if len(numbers(answer)) != 1:
            raise InputError(f"the answer is {answer!r}, expected one number to compare as number")
    if comparison is Comparison.REGEX:
        try:
            re.compile(answer)
        except re.error as error:
            raise InputError(f"the answer is {answer!r}, expected a regular expression: {error}") from None
    return answer
