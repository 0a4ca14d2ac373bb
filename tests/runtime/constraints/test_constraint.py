"""A constraint lets through what its grammar has, all of it and nothing else, whatever a model's logits say."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from thinkport.runtime.constraints import Constraint, Grammars
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex
from thinkport.runtime.tools.toolbox import ToolBox

ROOT = Path(__file__).resolve().parents[3]
NANO = ROOT / "artifacts" / "checkpoints" / "nano-qwen3" / "tokenizer.json"
QWEN3 = ROOT.parent / "shared" / "qwen3" / "tokenizer.json"
some = settings(max_examples=40)
ENOUGH = 4000  # tokens in which any of these texts ends
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

LEAVES = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["null", "boolean"]}]),
    st.integers(0, 5).map(lambda longest: {"type": "string", "maxLength": longest}),
    st.tuples(st.integers(-999, 999), st.integers(0, 999)).map(
        lambda span: {"type": "integer", "minimum": span[0], "maximum": span[0] + span[1]}
    ),
    st.lists(st.text(max_size=4) | st.integers(-9, 9) | st.none(), min_size=1, max_size=3).map(
        lambda values: {"enum": values}
    ),
    st.text(max_size=6).map(lambda value: {"const": value}),
)
NAMES = st.text(max_size=4)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4)  # \x1f has two spellings in JSON


def objects(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(NAMES, inner, max_size=3).flatmap(
        lambda properties: (
            st.lists(st.sampled_from(sorted(properties)), unique=True).map(
                lambda required: {
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": False,
                }
            )
            if properties
            else st.just({"type": "object", "additionalProperties": False})
        )
    )


def lists(inner: st.SearchStrategy) -> st.SearchStrategy:
    return inner.map(lambda items: {"type": "array", "items": items, "maxItems": 2})


SCHEMAS = st.recursive(LEAVES, lambda inner: objects(inner) | lists(inner), max_leaves=6)


@pytest.fixture(scope="module", params=["bytes", "nano"])
def grammars(request, tokenizer) -> Grammars:
    """Over a vocabulary that is larger than its tokenizer's, as Qwen3's is, with two stop ids."""
    tokenizer = tokenizer if request.param == "bytes" else Tokenizer.from_file(NANO)
    return Grammars(tokenizer, vocab_size=max(tokenizer.added.values()) + 9, stop_ids=stops(tokenizer))


@pytest.fixture(scope="module")
def plain(tokenizer) -> Grammars:
    return Grammars(tokenizer, vocab_size=300, stop_ids=stops(tokenizer))


def stops(tokenizer: Tokenizer) -> list[int]:
    return [tokenizer.added["<|im_end|>"], tokenizer.added["<|endoftext|>"]]


def size(grammars: Grammars) -> int:
    return max(grammars.tokenizer.added.values()) + 9


def allowed(constraint: Constraint, width: int) -> set[int]:
    return set(np.flatnonzero(np.isfinite(constraint.mask(np.zeros(width, np.float32)))).tolist())


def drawn(constraint: Constraint, grammars: Grammars, seed: int, *, stop_early: bool = True) -> str:
    """The text of a model that computes noise, and that stops where it may if it is to stop early."""
    random = np.random.default_rng(seed)
    ids: list[int] = []
    while len(ids) < ENOUGH:
        masked = constraint.mask(random.standard_normal(size(grammars)).astype(np.float32))
        may_stop = constraint.stop_ids & set(np.flatnonzero(np.isfinite(masked)).tolist())
        token = min(may_stop) if may_stop and stop_early else int(masked.argmax())
        if token in constraint.stop_ids:
            return grammars.tokenizer.decode(ids)
        constraint.accept(token)
        ids.append(token)
    pytest.fail(f"no end within {ENOUGH} tokens: {grammars.tokenizer.decode(ids[:200])!r}")


@some
@given(SCHEMAS, st.integers(0, 999))
def test_noise_becomes_json_of_the_schema(grammars, schema, seed) -> None:
    text = drawn(grammars.answer(JsonSchema(schema)), grammars, seed)
    Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.parametrize(
    "pattern", ["a", "[a-c]{2,5}", r"[0-9]{4}-[0-9]{2}", "yes|no|né🙂", "a/b\\.c", "x*", '"[^"]{0,5}"', "^ab$"]
)
@pytest.mark.parametrize("stop_early", [True, False])
def test_noise_becomes_a_match_of_the_regular_expression(grammars, pattern, stop_early) -> None:
    for seed in range(10):
        assert re.fullmatch(pattern, drawn(grammars.answer(Regex(pattern)), grammars, seed, stop_early=stop_early))


@some
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.integers(0, 99), st.booleans())
def test_noise_becomes_one_of_the_options(grammars, options, seed, stop_early) -> None:
    constraint = grammars.answer(Choice(tuple(options)))
    text = drawn(constraint, grammars, seed, stop_early=stop_early)
    assert text in options


def test_an_option_may_begin_another_and_both_can_come(plain) -> None:
    constraint = plain.answer(Choice(("hi", "hi on")))
    assert {
        drawn(plain.answer(Choice(("hi", "hi on"))), plain, s, stop_early=e) for s in range(9) for e in (True, False)
    } == {
        "hi",
        "hi on",
    }
    assert not constraint.done


def test_a_stop_comes_where_the_text_is_whole_and_nothing_else_where_it_can_not_go_on(plain) -> None:
    constraint = plain.answer(Regex("hio?"))
    hi, o = (plain.tokenizer.encode_plain(piece)[0] for piece in ("hi", "o"))
    assert allowed(constraint, 300) == {hi}  # not h and then i: what must come is split as the tokenizer splits it
    constraint.accept(hi)
    assert allowed(constraint, 300) == {o, *plain.stop_ids}
    assert not constraint.done
    constraint.accept(o)
    assert constraint.done
    assert allowed(constraint, 300) == plain.stop_ids
    constraint.accept(min(plain.stop_ids))
    constraint.restart()
    assert allowed(constraint, 300) == {hi}


def test_no_added_token_and_no_id_without_text_is_ever_let_through(grammars) -> None:
    free = allowed(grammars.answer(Regex("(?s:.*)")), size(grammars))
    assert free & set(grammars.tokenizer.added.values()) == grammars.stop_ids
    assert max(free) <= max(grammars.tokenizer.added.values())
    assert len(free) > 180


def test_text_that_a_tokenizer_would_normalize_comes_as_it_is(grammars) -> None:
    option = "e\u0301 \u1e9b\u0323 \u212b"
    assert drawn(grammars.answer(Choice((option,))), grammars, 0) == option


def test_a_marker_can_be_spelled_in_plain_ids(grammars) -> None:
    options = ("</think>", "<|im_end|>", "<tool_call>")
    texts = {drawn(grammars.answer(Choice(options)), grammars, seed) for seed in range(20)}
    assert texts == set(options)


def test_what_may_come_keeps_its_logits_and_the_row_stays_as_it_was(plain) -> None:
    logits = np.random.default_rng(0).standard_normal(300).astype(np.float32)
    before = logits.copy()
    masked = plain.answer(Regex("[a-z]*")).mask(logits)
    kept = np.isfinite(masked)
    assert masked.dtype == np.float32
    assert (masked[kept] == before[kept]).all()
    assert (masked[~kept] == -np.inf).all()
    assert (logits == before).all()


def test_what_is_not_of_the_grammar_can_not_be_accepted(plain) -> None:
    constraint = plain.answer(Regex("hi"))
    with pytest.raises(InputError, match="regular expression can't be enforced any further"):
        constraint.accept(plain.tokenizer.encode_plain("x")[0])


@pytest.mark.parametrize(
    ("response_format", "words"),
    [
        (JsonSchema({"type": "array", "uniqueItems": True}), "JSON schema can't be enforced.*uniqueItems"),
        (JsonSchema({"type": "strin"}), "JSON schema can't be enforced.*strin"),
        (JsonSchema({"allOf": [{"type": "string"}, {"type": "null"}]}), "[Uu]nsatisfiable"),
        (JsonSchema(False), "[Uu]nsatisfiable"),
        (JsonSchema({"const": float("nan")}), "JSON schema can't be enforced"),
        (Regex("[a"), "regular expression can't be enforced.*unclosed character class"),
        (Regex("(?=a)b"), "look-around"),
        (Regex("\ud800"), "not valid Unicode"),
        (Choice(("a", "\ud800")), "not valid Unicode"),
    ],
)
def test_what_can_not_be_enforced_is_refused_in_the_words_of_the_library(plain, response_format, words) -> None:
    with pytest.raises(InputError, match=words):
        plain.answer(response_format)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (JsonSchema, []),
        (JsonSchema, {"a": object()}),
        (Regex, 3),
        (Choice, ()),
        (Choice, "yes"),
        (Choice, ("",)),
        (Choice, (1,)),
    ],
)
def test_a_format_of_the_wrong_kind_is_refused_when_it_is_made(kind: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(InputError):
        kind(wrong)


def test_any_value_is_json_of_true_and_of_the_empty_schema(plain) -> None:
    schemas: tuple[Any, ...] = (True, {})
    for schema in schemas:
        for seed in range(5):
            json.loads(drawn(plain.answer(JsonSchema(schema)), plain, seed))


def written(grammars: Grammars, schema: dict[str, Any], text: str) -> bool:
    """Whether the schema's grammar has this text."""
    constraint = grammars.answer(JsonSchema(schema))
    try:
        for token in grammars.tokenizer.encode_plain(text):
            constraint.accept(token)
    except InputError:
        return False
    return constraint.done


def test_json_is_written_on_one_line_unless_the_schema_has_it_otherwise(plain) -> None:
    value = {"name": "Ada", "n": [1, {"a": None}]}
    spread = {**PERSON, "x-guidance": {"whitespace_flexible": True, "item_separator": ",", "key_separator": ":"}}
    assert written(plain, PERSON, json.dumps(value))
    assert not written(plain, PERSON, json.dumps(value, indent=2))
    assert written(plain, spread, json.dumps(value, indent=2))


def test_a_model_that_loves_white_space_gets_none_but_that_of_one_line(grammars) -> None:
    properties = {"a": {"type": "boolean"}, "b": {"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2}}
    schema = {"type": "object", "properties": properties, "required": ["a", "b"], "additionalProperties": False}
    texts = [grammars.tokenizer.decode([at]) for at in range(size(grammars))]
    love = np.array([len(text) - 99 * bool(text.strip()) for text in texts], np.float32)
    constraint, ids = grammars.answer(JsonSchema(schema)), []
    while not constraint.done:
        ids.append(int(constraint.mask(love).argmax()))
        constraint.accept(ids[-1])
    text = grammars.tokenizer.decode(ids)
    assert text == json.dumps(json.loads(text))


def test_a_vocabulary_is_prepared_once_for_all_threads(tokenizer) -> None:
    grammars = Grammars(tokenizer, vocab_size=300, stop_ids=stops(tokenizer))
    with ThreadPoolExecutor(8) as pool:
        assert len({id(one) for one in pool.map(lambda _: grammars.prepare(), range(8))}) == 1


def test_constraints_over_one_vocabulary_run_side_by_side(plain) -> None:
    def one(seed: int) -> str:
        return drawn(plain.answer(JsonSchema({"type": "array", "items": PERSON, "maxItems": 1})), plain, seed)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(12))) == [one(seed) for seed in range(12)]


def call_body(grammars: Grammars, box: ToolBox, seed: int) -> str:
    end = grammars.tokenizer.added["</tool_call>"]
    return drawn(grammars.call(box.tools.values(), end), grammars, seed)


@some
@given(
    st.dictionaries(PLAIN, PLAIN.map(lambda text: {"enum": [text, 3, [], {"a": [text, None]}]}), max_size=3),
    st.integers(0, 999),
)
def test_a_call_is_written_as_history_writes_it(grammars, properties, seed) -> None:
    parameters = {"type": "object", "properties": properties, "additionalProperties": False}
    body = call_body(grammars, ToolBox([{"name": "get", "parameters": parameters}]), seed)
    written = json.dumps(json.loads(body), ensure_ascii=False)
    assert body == f"\n{written}\n"


@some
@given(st.dictionaries(NAMES, SCHEMAS, max_size=3), st.integers(0, 999))
def test_noise_becomes_a_sound_call(grammars, properties, seed) -> None:
    parameters = {"type": "object", "properties": properties, "additionalProperties": False}
    box = ToolBox([{"name": "get", "parameters": parameters}, {"name": "get_é", "parameters": parameters}])
    assert box.parse(call_body(grammars, box, seed)).problem is None


def test_each_of_several_tools_can_be_called_with_arguments_of_its_own(grammars) -> None:
    box = ToolBox(
        [
            {
                "name": name,
                "parameters": {
                    "type": "object",
                    "properties": {key: {"type": "null"}},
                    "required": [key],
                    "additionalProperties": False,
                },
            }
            for name, key in (("a", "x"), ("ab", "y"), ("b", "z"))
        ]
    )
    calls = [box.parse(call_body(grammars, box, seed)) for seed in range(30)]
    assert {(call.name, *(call.arguments or ())) for call in calls} == {("a", "x"), ("ab", "y"), ("b", "z")}


def test_a_tools_end_is_its_closing_tag_and_no_stop(plain) -> None:
    end = plain.tokenizer.added["</tool_call>"]
    constraint = plain.call(
        ToolBox([{"name": "f", "parameters": {"type": "object", "additionalProperties": False}}]).tools.values(), end
    )
    for token in plain.tokenizer.encode_plain('\n{"name": "f", "arguments": {}}\n'):
        assert not allowed(constraint, 300) & {*plain.stop_ids, end}
        constraint.accept(token)
    assert allowed(constraint, 300) == {end}


@pytest.mark.parametrize(
    "parameters",
    [
        {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"type": "null"}, "uniqueItems": True, "maxItems": 1}},
            "required": ["a"],
        },
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=a)a"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.invalid/"}}},
    ],
)
def test_a_tool_that_can_not_be_enforced_whole_is_held_to_what_can_be(plain, parameters) -> None:
    constraint = plain.call(
        ToolBox([{"name": "f", "parameters": parameters}]).tools.values(), plain.tokenizer.added["</tool_call>"]
    )
    for token in plain.tokenizer.encode_plain('\n{"name": "f", "arguments": {"a": '):
        constraint.accept(token)
    lenient = "uniqueItems" in str(parameters)
    assert (plain.tokenizer.encode_plain("3")[0] in allowed(constraint, 300)) is not lenient


@pytest.mark.skipif(not QWEN3.is_file(), reason="the real Qwen3 tokenizer is not beside the repository")
def test_qwen3s_vocabulary_writes_json_token_by_token() -> None:
    tokenizer = Tokenizer.from_file(QWEN3)
    grammars = Grammars(tokenizer, vocab_size=151_936, stop_ids=stops(tokenizer))
    constraint = grammars.answer(JsonSchema(PERSON))
    for token in tokenizer.encode_plain('{"name": "Ada 天気 🙂", "age": 36}'):
        assert token in allowed(constraint, 151_936)
        constraint.accept(token)
    assert allowed(constraint, 151_936) == grammars.stop_ids
