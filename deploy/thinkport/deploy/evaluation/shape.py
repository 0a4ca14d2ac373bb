r"""Shapes of a suite's lines: which fields hold question, answer and task, and how answers are compared.

Recognized from a file's first line: MATH-500 (https://huggingface.co/datasets/HuggingFaceH4/MATH-500: `problem`,
`answer`, `subject`; boxed), GSM8K (https://huggingface.co/datasets/openai/gsm8k: `question`, and an `answer` whose last
line is `#### 42`; number), and thinkport's own (`question`, `answer`, and if wanted `task` and `compare`; exact).
"""

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from thinkport.deploy.evaluation.comparison import Comparison, comparison_named
from thinkport.deploy.evaluation.number import numbers
from thinkport.deploy.evaluation.suite import Problem
from thinkport.runtime.errors import InputError

_FINAL = "####"  # GSM8K's mark before the final answer


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The fields of a line, and the comparison of lines that name none."""

    question: str = "question"
    answer: str = "answer"
    task: str = "task"
    comparison: Comparison = Comparison.EXACT

    def problem(self, record: dict[str, Any], comparison: Comparison | None = None) -> Problem:
        """The problem of a line; its own `compare` comes before `comparison`, and that before the shape's.

        Raises:
            InputError: a field that is missing or of another type, or an answer that can't be compared that way.
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


def shape_of(record: dict[str, Any], question_field: str | None = None, answer_field: str | None = None) -> Shape:
    """The shape of a file by its first line; fields that are given replace the shape's."""
    answer, shape = record.get("answer"), PLAIN
    if "problem" in record and "question" not in record:
        shape = MATH_500
    elif isinstance(answer, str) and answer.rstrip().rsplit("\n", 1)[-1].startswith(_FINAL):
        shape = GSM8K
    return replace(shape, question=question_field or shape.question, answer=answer_field or shape.answer)


def _text(record: dict[str, Any], field: str) -> str:
    """A field's text; a bare number is text too."""
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
    """The answer as it is compared: of one with its solution, what stands behind `####`."""
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
