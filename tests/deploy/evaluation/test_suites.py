"""Suites: the one that thinkport brings, files of the known shapes, and what is said about bad lines."""

import json
from pathlib import Path

import pytest

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.deploy.evaluation.suites import MATH_SUFFIX, Problem, Suite, arithmetic, find_suite, read_suite
from thinkport.runtime.errors import InputError

DATA = Path(__file__).parents[3] / "deploy" / "thinkport" / "deploy" / "evaluation" / "arithmetic.jsonl"


def write(folder: Path, *lines: object) -> Path:
    path = folder / "suite.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_the_arithmetic_suite_is_the_checkpoints_held_out_set(nano_checkpoint: Path) -> None:
    assert DATA.read_bytes() == (nano_checkpoint / "heldout.jsonl").read_bytes()
    suite = find_suite("arithmetic")
    assert suite == arithmetic()
    assert len(suite.problems) == 600
    assert {problem.task for problem in suite.problems} == {"chain", "count", "difference", "product", "sum"}
    assert {problem.comparison for problem in suite.problems} == {Comparison.EXACT}


def test_a_plain_file_is_exact_and_a_line_may_say_otherwise(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"question": "2+2?", "answer": 4, "task": "sums", "source": "ignored"},
        "",
        {"question": "Name a colour", "answer": "red|blue", "compare": "regex"},
    )
    assert read_suite(path).problems == (
        Problem(question="2+2?", answer="4", task="sums"),
        Problem(question="Name a colour", answer="red|blue", comparison=Comparison.REGEX),
    )


def test_a_comparison_for_the_file_gives_way_to_a_lines_own(tmp_path: Path) -> None:
    path = write(tmp_path, {"question": "a", "answer": "1"}, {"question": "b", "answer": "1", "compare": "exact"})
    found = [problem.comparison for problem in read_suite(path, comparison=Comparison.NUMBER).problems]
    assert found == [Comparison.NUMBER, Comparison.EXACT]


def test_a_file_of_math_500_is_boxed_with_its_subjects_as_tasks(tmp_path: Path) -> None:
    line = {"problem": "Half of 1?", "solution": "…", "answer": "\\frac{1}{2}", "subject": "Algebra", "level": 1}
    suite = read_suite(write(tmp_path, line))
    (problem,) = suite.problems
    assert (problem.comparison, problem.task, problem.answer) == (Comparison.BOXED, "Algebra", "\\frac{1}{2}")
    assert suite.prompt(problem) == f"Half of 1?\n{MATH_SUFFIX}"


def test_a_file_of_gsm8k_is_compared_by_the_number_behind_its_mark(tmp_path: Path) -> None:
    suite = read_suite(write(tmp_path, {"question": "Sum?", "answer": "She has 2*3=<<2*3=6>>6.\n#### 1,206"}))
    (problem,) = suite.problems
    assert (problem.comparison, problem.answer) == (Comparison.NUMBER, "1,206")
    assert suite.prompt(problem) == "Sum?"


def test_fields_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"prompt": "2+2?", "target": "4"})
    (problem,) = read_suite(path, question_field="prompt", answer_field="target").problems
    assert (problem.question, problem.answer) == ("2+2?", "4")


def test_a_suffix_of_ones_own_stands_under_every_question_and_an_empty_one_under_none() -> None:
    boxed, plain = (Problem(question="q", answer="1", comparison=c) for c in (Comparison.BOXED, Comparison.EXACT))
    own, none = (Suite(name="s", problems=(boxed, plain), suffix=suffix) for suffix in ("Be brief.", ""))
    assert [own.prompt(problem) for problem in own.problems] == ["q\nBe brief."] * 2
    assert [none.prompt(problem) for problem in none.problems] == ["q"] * 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "found no JSON"),
        ("[1]", "found a JSON list, expected an object"),
        ({"answer": "1"}, "no field 'question': found answer"),
        ({"questions": "a", "answer": "1"}, "did you mean 'questions'?"),
        ({"question": "a"}, "no field 'answer': found question"),
        ({"question": " ", "answer": "1"}, "field 'question' holds ' ', expected a text"),
        ({"question": "a", "answer": None}, "field 'answer' holds None, expected a text"),
        ({"question": "a", "answer": True}, "field 'answer' holds True"),
        ({"question": "a", "answer": "1", "compare": "fuzzy"}, "expected exact, number, regex, boxed"),
        ({"question": "a", "answer": "one", "compare": "number"}, "expected one number"),
        ({"question": "a", "answer": "1 or 2", "compare": "number"}, "expected one number"),
        ({"question": "a", "answer": "(", "compare": "regex"}, "expected a regular expression"),
    ],
)
def test_a_bad_line_is_named_with_what_was_found_and_expected(tmp_path: Path, line: object, says: str) -> None:
    path = write(tmp_path, {"question": "good", "answer": "1"}, "", line, "{worse")
    with pytest.raises(InputError) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"{path} line 3: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "has no problems"), (b"\n \n", "has no problems"), (b'{"a": "\xff"}', "is not UTF-8")]
)
def test_a_file_that_holds_no_problems_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_suite(path)


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"question": "a", "answer": "1"}\r\n')
    assert read_suite(path).problems == (Problem(question="a", answer="1"),)


def test_a_suite_that_is_not_there_names_what_would_be() -> None:
    with pytest.raises(InputError, match="no suite 'arithmatic', expected 'arithmetic' or a JSONL file"):
        find_suite("arithmatic")


def test_options_for_files_are_refused_with_a_suite_that_is_none() -> None:
    with pytest.raises(InputError, match="leave the options for files out"):
        find_suite("arithmetic", comparison=Comparison.NUMBER)


def test_more_problems_than_there_are_is_refused() -> None:
    assert len(arithmetic().first(7).problems) == 7
    for n in (0, 601):
        with pytest.raises(InputError, match="expected 1 to 600"):
            arithmetic().first(n)
