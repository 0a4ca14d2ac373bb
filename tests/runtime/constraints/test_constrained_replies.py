"""Thoughts and formats together, through the public calls: the thought stays free, the answer keeps to its format."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkport.runtime import (
    AnswerPiece,
    Choice,
    Finish,
    InputError,
    JsonSchema,
    Model,
    Regex,
    ResponseFormat,
    SamplingSettings,
    Switch,
    Thinking,
    ThinkingEnd,
    ThoughtPiece,
)
from thinkport.runtime.prompt.template import ChatTemplate

GREEDY = SamplingSettings(temperature=0)
WARM = SamplingSettings(temperature=0.7)
POINT = {
    "type": "object",
    "properties": {
        "x": {"type": "integer", "minimum": 0, "maximum": 99},
        "side": {"enum": ["left", "right"]},
        "seen": {"type": "boolean"},
    },
    "required": ["x", "side", "seen"],
    "additionalProperties": False,
}
FORMATS: list[ResponseFormat] = [
    JsonSchema(POINT),
    JsonSchema({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}),
    Regex(r"[a-z]{1,5}(-[0-9]{2})?"),
    Choice(("yes", "no", "not at all")),
]
MARKERS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_start|>", "<|im_end|>")
LIMIT = 400
THOUGHTS = {
    "on": Thinking(enabled=True, message=".\n"),
    "auto": Thinking(enabled=Switch.AUTO, message=".\n"),
    "budget": Thinking(enabled=True, budget=3, message=".\n"),
    "soft": Thinking(enabled=True, budget=40, soft_from=0.0, message=".\n"),
    "reserve": Thinking(enabled=True, answer_reserve=LIMIT - 8, message=".\n"),
    "none of it": Thinking(enabled=True, budget=0),
    "off": Thinking(enabled=False),
}


@pytest.fixture(scope="module")
def noisy(new_model) -> Model:
    return new_model()


def compute_noise(model, seed, *, closes=9):
    """Have the model say anything, and close its thought in one of `closes` places; 0: never of its own will."""
    markers, stop = model.manifest.thinking, model.manifest.stop_ids[0]
    first, letters = model.tokenizer.encode("h")[0], 256

    def next_id(held: list[int]) -> int:
        noise = hash((seed, *held))
        last = max((at for at, token in enumerate(held) if token in (markers.start, markers.end)), default=-1)
        if last < 0:
            return markers.start if noise % 2 else noise // 2
        if held[last] == markers.end:
            return stop if noise % 5 == 0 else noise // 5
        if last == len(held) - 1:
            return first
        return markers.end if closes and noise % closes == 0 else noise % letters

    model.session.next_id = next_id


def assert_keeps_to(response_format: ResponseFormat, answer: str) -> None:
    match response_format:
        case JsonSchema():
            jsonschema.validate(json.loads(answer), response_format.data)
        case Regex(pattern):
            assert re.fullmatch(pattern, answer)
        case Choice(options):
            assert answer in options


def assert_whole(reply):
    """Pieces are the parts, a thought comes before the answer, and no marker is shown."""
    *pieces, end = reply
    assert [piece for piece in pieces if isinstance(piece, ThoughtPiece)] == pieces[: _thoughts(pieces)]
    assert "".join(piece.text for piece in pieces[: _thoughts(pieces)]) == end.thought
    assert "".join(piece.text for piece in pieces if isinstance(piece, AnswerPiece)) == end.answer
    assert not any(marker in end.thought + end.answer for marker in MARKERS)
    return end


def _thoughts(pieces) -> int:
    return sum(isinstance(piece, ThoughtPiece) for piece in pieces)


@given(
    seed=st.integers(0, 10_000),
    response_format=st.sampled_from(FORMATS),
    how=st.sampled_from(sorted(THOUGHTS)),
    sampling=st.sampled_from([GREEDY, WARM]),
    closes=st.sampled_from([0, 3, 9]),
)
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_thought_is_as_without_a_format_and_the_answer_keeps_to_it(
    noisy, seed, response_format, how, sampling, closes
) -> None:
    compute_noise(noisy, seed, closes=closes)
    options = {"thinking": THOUGHTS[how], "sampling": sampling, "seed": seed, "max_tokens": LIMIT}
    held = assert_whole(noisy.stream("hi", response_format=response_format, **options))
    free = noisy.generate("hi", **options)
    if how != "auto" or (free.thought and held.thought):
        assert (held.thought, held.thinking_end) == (free.thought, free.thinking_end)
    assert held.answer
    if held.answer_end is Finish.STOP:
        assert_keeps_to(response_format, held.answer)


def test_the_noise_ends_thoughts_and_answers_in_every_way(noisy) -> None:
    """What the test above rests on."""
    ends = set()
    for seed in range(40):
        for how, thinking in THOUGHTS.items():
            compute_noise(noisy, seed, closes=0 if how == "reserve" else 9)
            end = noisy.generate("hi", thinking=thinking, sampling=GREEDY, max_tokens=LIMIT, response_format=FORMATS[0])
            assert bool(end.thought) is (end.thought_tokens > 0)
            assert bool(end.thought) is (
                end.thinking_end not in (ThinkingEnd.OFF, ThinkingEnd.NONE) and how != "none of it"
            )
            ends.add((end.thinking_end, end.answer_end))
    assert {why for why, _ in ends} >= {
        ThinkingEnd.NATURAL,
        ThinkingEnd.NONE,
        ThinkingEnd.OFF,
        ThinkingEnd.BUDGET,
        ThinkingEnd.RESERVE,
    }
    assert {finish for _, finish in ends} >= {Finish.STOP}


@pytest.mark.parametrize("response_format", FORMATS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("switch", "thinks"), [("/think", True), ("/no_think", False)])
def test_a_soft_switch_leaves_the_answer_to_its_format(noisy, response_format, switch, thinks) -> None:
    for seed in range(20):
        compute_noise(noisy, seed)
        reply = noisy.stream(f"hi {switch}", response_format=response_format, sampling=GREEDY, max_tokens=LIMIT)
        end = assert_whole(reply)
        assert bool(end.thought) is thinks
        if end.answer_end is Finish.STOP:
            assert_keeps_to(response_format, end.answer)


@pytest.mark.parametrize("response_format", FORMATS, ids=lambda each: type(each).__name__)
def test_a_thought_that_the_user_stops_is_followed_by_the_format(noisy, response_format) -> None:
    for seed in range(20):
        compute_noise(noisy, seed, closes=0)
        chat = noisy.chat(thinking=Thinking(enabled=True, message=".\n"), sampling=GREEDY, settle=False)
        reply = chat.stream("hi", response_format=response_format, max_tokens=LIMIT)
        first = next(reply)
        chat.stop_thinking()
        *_, end = reply
        assert end.thinking_end is ThinkingEnd.USER
        assert end.thought.startswith(first.text)
        if end.answer_end is Finish.STOP:
            assert_keeps_to(response_format, end.answer)


@pytest.mark.parametrize("max_tokens", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("thinking", [True, False, Switch.AUTO])
def test_a_reply_cut_short_is_a_start_of_the_format(noisy, max_tokens, thinking) -> None:
    for seed in range(20):
        compute_noise(noisy, seed)
        end = noisy.generate(
            "hi", thinking=thinking, response_format=Regex("a{20}b{20}"), sampling=GREEDY, max_tokens=max_tokens
        )
        assert end.answer_end is Finish.LENGTH
        assert end.answer == ("a" * 20 + "b" * 20)[: len(end.answer)]
        assert end.thought_tokens + end.answer_tokens + end.forced_tokens <= max_tokens


THOUGHTFUL, EMPTY = "<think>\nhi on\n</think>\n\n", "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("reply", "thinking", "ends"),
    [
        (THOUGHTFUL + "yes", True, ThinkingEnd.NATURAL),
        (THOUGHTFUL + "maybe", True, ThinkingEnd.NATURAL),
        (THOUGHTFUL + "yes", Switch.AUTO, ThinkingEnd.NATURAL),
        (THOUGHTFUL + "maybe", Switch.AUTO, ThinkingEnd.NATURAL),
        ("yes", Switch.AUTO, ThinkingEnd.NONE),
        (EMPTY + "yes", False, ThinkingEnd.OFF),
        (EMPTY + "maybe", False, ThinkingEnd.OFF),
    ],
)
def test_what_a_model_wants_to_say_is_kept_where_the_format_has_it(new_model, reply, thinking, ends) -> None:
    choice = Choice(("yes", "no"))
    end = assert_whole(new_model(reply).stream("hi", thinking=thinking, response_format=choice, sampling=GREEDY))
    assert (end.thought, end.thinking_end) == ("hi on" if "hi on" in reply else "", ends)
    assert end.answer in (("yes",) if reply.endswith("yes") else choice.options)
    assert end.answer_end is Finish.STOP


@pytest.mark.parametrize("thinking", [Thinking(enabled=True), Thinking(enabled=True, budget=1, message=".\n")])
def test_between_thought_and_format_stands_the_blank_line_that_the_model_knows(new_model, thinking) -> None:
    model = new_model(THOUGHTFUL + "yes")
    engine = model.engine()
    end = model.generate("hi", thinking=thinking, response_format=Choice(("yes",)), sampling=GREEDY, engine=engine)
    assert model.tokenizer.decode(engine.ids[end.prompt_tokens :]).endswith("\n</think>\n\nyes")


def test_a_prompt_that_opens_the_thought_leaves_it_free(new_model) -> None:
    turns = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    template = ChatTemplate(turns + "<|im_start|>assistant\n<think>\n\n", {})  # Jinja takes the last newline
    model = new_model(THOUGHTFUL + "yes", template=template)
    end = assert_whole(model.stream("hi", response_format=Choice(("yes", "no")), sampling=GREEDY))
    assert (end.thought, end.answer, end.thinking_end) == ("hi on", "yes", ThinkingEnd.NATURAL)


def test_every_turn_of_a_chat_has_its_own_format(new_model) -> None:
    chat = new_model(THOUGHTFUL + "free text", THOUGHTFUL + "yes", "no more").chat(sampling=GREEDY)
    assert chat.send("hi").answer == "free text"
    assert chat.send("hi", response_format=Choice(("yes", "no"))).answer == "yes"
    assert chat.send("hi").answer == "no more"
    assert chat.retry(response_format=Choice(("no",))).end().answer == "no"
    assert [message["content"] for message in chat.messages[1::2]] == ["free text", "yes", "no"]


@pytest.mark.parametrize(
    ("response_format", "says"),
    [(Regex("(?=a)"), "regular expression can't be"), (JsonSchema({"type": "nonsense"}), "schema can't be")],
)
def test_a_format_that_can_t_be_enforced_is_refused_on_the_call_and_nothing_is_lost(
    new_model, response_format, says
) -> None:
    chat = new_model("one").chat(system="on", sampling=GREEDY)
    with pytest.raises(InputError, match=says):
        chat.stream("hi", response_format=response_format)
    assert [message["role"] for message in chat.messages] == ["system"]
    assert chat.send("hi").answer == "one"


@pytest.fixture(scope="module")
def nano(nano_artifact: Path):
    with Model.load(nano_artifact) as loaded:
        yield loaded


@pytest.mark.parametrize("sampling", [GREEDY, None])
@pytest.mark.parametrize("thinking", [True, False, Thinking(enabled=True, budget=10)])
@pytest.mark.parametrize(
    "response_format",
    [
        Regex("[0-9]{1,6}"),
        Choice(("42", "43", "many")),
        JsonSchema({"type": "integer", "minimum": 0, "maximum": 99}),
        JsonSchema(POINT),
    ],
)
def test_the_trained_model_keeps_to_formats_after_its_own_thought(nano, response_format, thinking, sampling) -> None:
    options = {"thinking": thinking, "sampling": sampling, "seed": 3, "max_tokens": LIMIT}
    end = assert_whole(nano.stream("What is 25282+54955?", response_format=response_format, **options))
    assert end.thought == nano.generate("What is 25282+54955?", **options).thought
    assert bool(end.thought) is (thinking is not False)
    assert end.answer_end is Finish.STOP
    assert_keeps_to(response_format, end.answer)


def test_the_trained_model_is_right_in_every_format(nano) -> None:
    def answer(response_format: ResponseFormat) -> str:
        asked = {"thinking": True, "sampling": GREEDY, "response_format": response_format}
        return str(nano.generate("What is 25282+54955?", **asked).answer)

    right = str(25282 + 54955)
    formats: list[ResponseFormat] = [Regex("[0-9]+"), Choice(("80137", right)), JsonSchema({"type": "integer"})]
    assert [answer(response_format) for response_format in formats] == [right] * 3


def generate(artifact: Path, *options: str) -> subprocess.CompletedProcess[str]:
    main = "from thinkport.runtime.cli.main import main; main()"
    command = [sys.executable, "-c", main, "generate", str(artifact), "What is 25282+54955?", "--seed", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "given.json"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("think", ["--think", "--no-think"])
def test_the_command_line_holds_the_answer_to_a_form(nano_artifact, written, think) -> None:
    schema = written(json.dumps(POINT))
    forms: list[tuple[list[str], ResponseFormat]] = [
        (["--regex", "[0-9]{2}"], Regex("[0-9]{2}")),
        (["--schema", schema], JsonSchema(POINT)),
    ]
    forms.append((["--choice", "forty", "--choice", "fifty"], Choice(("forty", "fifty"))))
    for options, response_format in forms:
        ended = generate(nano_artifact, think, "--json", "--max-tokens", "300", *options)
        assert ended.returncode == 0, ended.stderr
        reply = json.loads(ended.stdout)
        assert_keeps_to(response_format, reply["answer"])
        assert bool(reply["thought"]) is (think == "--think")


def test_the_command_line_offers_tools(nano_artifact, written) -> None:
    tools = written('[{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]')
    with_tools = generate(nano_artifact, "--json", "--tools", tools)
    without = generate(nano_artifact, "--json")
    assert (with_tools.returncode, without.returncode) == (0, 0), with_tools.stderr
    prompts = [json.loads(each.stdout)["prompt_tokens"] for each in (with_tools, without)]
    assert prompts[0] > prompts[1] + 20, "the template describes the tool to the model"


@pytest.mark.parametrize(
    ("option", "text", "says"),
    [
        ("--schema", '{"type": "nonsense"}', "schema can't be enforced"),
        ("--schema", "{", "is no JSON"),
        ("--schema", "[1]", "expected a mapping"),
        ("--tools", '[{"name": ""}]', "tool 0 has the name"),
        ("--tools", "[]", "holds no tools"),
        ("--regex", "(", "regular expression can't be enforced"),
        ("--choice", "", "none of them empty"),
    ],
)
def test_a_form_that_can_t_be_is_one_line_and_exit_code_2(nano_artifact, written, option, text, says) -> None:
    given = written(text) if option in ("--schema", "--tools") else text
    ended = generate(nano_artifact, option, given)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert ended.stderr.startswith("thinkport: ")
    assert ended.stderr.count("\n") == 1
