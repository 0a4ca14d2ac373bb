"""An answer keeps to its format, its tools and the choice among them, whatever a model's logits say."""

import re
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from thinkport.runtime.constraints import AnswerConstraint, Grammars
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import ToolCall
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex
from thinkport.runtime.tools.tool_call_splitter import ToolCallSplitter
from thinkport.runtime.tools.toolbox import ToolBox, ToolChoice, ToolUse

WIDTH = 300
SWITCH = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}},
    "required": ["on"],
    "additionalProperties": False,
}
BOX = ToolBox([{"name": "light", "parameters": SWITCH}, {"name": "heat", "parameters": SWITCH}])
REQUIRED = ToolChoice(use=ToolUse.REQUIRED)
NONE = ToolChoice(use=ToolUse.NONE)
YES_OR_NO = Choice(("yes", "no"))


@pytest.fixture(scope="module")
def grammars(tokenizer) -> Grammars:
    stops = [tokenizer.added["<|im_end|>"], tokenizer.added["<|endoftext|>"]]
    return Grammars(tokenizer, vocab_size=WIDTH, stop_ids=stops)


def allowed(constraint: AnswerConstraint) -> set[int]:
    return set(np.flatnonzero(np.isfinite(constraint.apply(np.zeros(WIDTH, np.float32)))).tolist())


def said(grammars: Grammars, constraint: AnswerConstraint, text: str) -> None:
    """Have the constraint accept a text in which tags are tags; each of its ids must be allowed."""
    for token in grammars.tokenizer.encode(text):
        assert token in allowed(constraint)
        constraint.accept(token)


def drawn(grammars: Grammars, constraint: AnswerConstraint, seed: int, tokens: int = 400) -> tuple[str, list[ToolCall]]:
    """Text and calls of a model that computes noise, and likes to open calls and to stop."""
    random, added = np.random.default_rng(seed), grammars.tokenizer.added
    splitter, pieces = ToolCallSplitter(grammars.tokenizer, BOX), []
    for _ in range(tokens):
        logits = random.standard_normal(WIDTH).astype(np.float32)
        logits[[added["<tool_call>"], *grammars.stop_ids]] += 2
        token = int(constraint.apply(logits).argmax())
        constraint.accept(token)
        if token in grammars.stop_ids:
            pieces += splitter.flush()
            break
        pieces += splitter.feed(token)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return text, [piece for piece in pieces if isinstance(piece, ToolCall)]


def test_a_free_answer_s_logits_are_not_even_copied(grammars) -> None:
    logits = np.zeros(WIDTH, np.float32)
    assert AnswerConstraint(grammars).apply(logits) is logits
    assert not AnswerConstraint(grammars, toolbox=BOX).from_first_token


@pytest.mark.parametrize("toolbox", [None, BOX])
def test_none_lets_no_tag_through(grammars, toolbox) -> None:
    constraint = AnswerConstraint(grammars, toolbox=toolbox, choice=NONE)
    tags = {grammars.tokenizer.added["<tool_call>"], grammars.tokenizer.added["</tool_call>"]}
    assert allowed(constraint) == set(range(WIDTH)) - tags
    for seed in range(5):
        assert drawn(grammars, constraint, seed)[1] == []


def test_auto_leaves_the_model_its_text_and_holds_its_calls_to_the_tools(grammars) -> None:
    constraint = AnswerConstraint(grammars, toolbox=BOX)
    said(grammars, constraint, "hi on\n")
    assert len(allowed(constraint)) == WIDTH
    said(grammars, constraint, '<tool_call>\n{"name": "light", "arguments": {"on": true}}\n')
    assert allowed(constraint) == {grammars.tokenizer.added["</tool_call>"]}
    said(grammars, constraint, "</tool_call>\nhi\n")
    said(grammars, constraint, '<tool_call>\n{"name": "heat", "arguments": {"on": false}}\n</tool_call>')
    assert len(allowed(constraint)) == WIDTH


def test_every_call_of_a_model_that_computes_noise_is_sound(grammars) -> None:
    calls = [call for seed in range(20) for call in drawn(grammars, AnswerConstraint(grammars, toolbox=BOX), seed)[1]]
    assert len(calls) > 10
    assert {call.problem for call in calls} == {None}
    assert {call.name for call in calls} == {"light", "heat"}


def test_required_begins_with_a_call_and_has_nothing_but_calls(grammars) -> None:
    constraint = AnswerConstraint(grammars, toolbox=BOX, choice=REQUIRED)
    assert constraint.from_first_token
    start, newline = grammars.tokenizer.added["<tool_call>"], grammars.tokenizer.encode("\n")[0]
    assert allowed(constraint) == {start}
    said(grammars, constraint, '<tool_call>\n{"name": "light", "arguments": {"on": true}}\n</tool_call>')
    assert allowed(constraint) == {start, newline, *grammars.stop_ids}
    constraint.accept(newline)
    assert allowed(constraint) == {start, *grammars.stop_ids}
    for seed in range(10):
        text, calls = drawn(grammars, AnswerConstraint(grammars, toolbox=BOX, choice=REQUIRED), seed)
        assert text == ""
        assert calls
        assert not any(call.problem for call in calls)


def test_a_tools_name_lets_only_that_tool_be_called(grammars) -> None:
    choice = ToolChoice.of("heat", BOX.names)
    for seed in range(10):
        text, calls = drawn(grammars, AnswerConstraint(grammars, toolbox=BOX, choice=choice), seed)
        assert text == ""
        assert {call.name for call in calls} == {"heat"}


@pytest.mark.parametrize(
    ("response_format", "pattern"),
    [
        (YES_OR_NO, "yes|no"),
        (Regex("[a-z]{1,4}"), "[a-z]{1,4}"),
        (JsonSchema(SWITCH), r"\{\s*\"on\"\s*:\s*(true|false)\s*\}"),
    ],
)
def test_a_format_with_tools_gives_either_calls_or_the_format(grammars, response_format, pattern) -> None:
    kinds = set()
    for seed in range(80):
        constraint = AnswerConstraint(grammars, toolbox=BOX, response_format=response_format)
        assert constraint.from_first_token
        text, calls = drawn(grammars, constraint, seed)
        assert bool(text) != bool(calls)
        assert not text or re.fullmatch(pattern, text)
        assert not any(call.problem for call in calls)
        kinds.add(bool(calls))
    assert kinds == {True, False}


@pytest.mark.parametrize("options", [{}, {"toolbox": BOX, "choice": NONE}])
def test_a_format_without_calls_is_the_format(grammars, options) -> None:
    for seed in range(10):
        text, calls = drawn(grammars, AnswerConstraint(grammars, response_format=YES_OR_NO, **options), seed)
        assert text in YES_OR_NO.options
        assert calls == []


def test_once_a_format_has_begun_no_call_can_open(grammars) -> None:
    constraint = AnswerConstraint(grammars, toolbox=BOX, response_format=JsonSchema(True))
    said(grammars, constraint, '{"a": "hi ')
    assert grammars.tokenizer.added["<tool_call>"] not in allowed(constraint)


def test_a_required_call_comes_before_a_format(grammars) -> None:
    text, calls = drawn(
        grammars, AnswerConstraint(grammars, toolbox=BOX, choice=REQUIRED, response_format=YES_OR_NO), 0
    )
    assert text == ""
    assert calls


def test_a_forced_newline_does_not_excuse_from_a_required_call(grammars) -> None:
    constraint = AnswerConstraint(grammars, toolbox=BOX, choice=REQUIRED)
    constraint.accept(grammars.tokenizer.encode("\n")[0])
    assert allowed(constraint) == {grammars.tokenizer.added["<tool_call>"]}


def test_a_model_without_tags_writes_text_and_can_not_be_required_to_call() -> None:
    letters = {token: at for at, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Backend(models.BPE(vocab=letters, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    grammars = Grammars(Tokenizer(backend), vocab_size=WIDTH, stop_ids=[0])
    assert len(allowed(AnswerConstraint(grammars, toolbox=BOX))) == WIDTH
    assert len(allowed(AnswerConstraint(grammars, toolbox=BOX, choice=NONE))) == WIDTH
    with pytest.raises(InputError, match="a tool call is required"):
        AnswerConstraint(grammars, toolbox=BOX, choice=REQUIRED)


def test_a_format_that_can_not_be_enforced_is_refused_before_any_token(grammars) -> None:
    with pytest.raises(InputError, match="can't be enforced"):
        AnswerConstraint(grammars, response_format=Regex("[a"))


def test_importing_tools_and_formats_loads_neither_llguidance_nor_jsonschema() -> None:
    source = (
        "import sys, thinkport.runtime.constraints, thinkport.runtime.tools.tool_call_splitter; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert not {"llguidance", "jsonschema", "referencing"} & set(done.stdout.split())


WITHOUT = """
import sys
sys.modules["llguidance"] = None  # as if it were not installed
from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.constraints.grammars import import_llguidance
try:
    import_llguidance()
except MissingExtraError as error:
    print(error)
"""


def test_without_llguidance_the_error_has_the_install_line() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert "pip install llguidance" in done.stdout
