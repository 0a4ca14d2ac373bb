"""Conversations for any chat template: a seeded set that is the same in each run, and odd ones made by hand."""

import json
import random
from collections.abc import Iterator
from typing import Any

Conversation = list[dict[str, Any]]

LANGUAGES = [
    "The quick brown fox",
    "Ünïcode, naïve façade, Œuvre",
    "Cửa Việt ệ",
    "你好，世界。今天天气很好！",
    "ひらがな カタカナ ｶﾞ",
    "안녕하세요 \u1112\u1161\u11ab",
    "مرحبا بالعالم، كيف الحال؟",
    "שָׁלוֹם עולם",
    "नमस्ते दुनिया क्षत्रिय",
    "ภาษาไทย ก็ได้",
    "Привет, мир",
    "e\u0301 n\u0303 a\u0323\u0302 Z\u0351\u036b\u0343",
    "🙂 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ☃️",
]
SHAPES = [
    "",
    " ",
    "\n",
    "\n\n\n",
    "\r\n",
    "one\r\ntwo\r\n",
    "\rlone\rreturns\r",
    "\t tab",
    "trailing  \n",
    "\n leading",
    "\x00\x1b[0m\x7f\x85",
    "\u200b\u200e\u2028\u2029\ufeff\u00a0",
    "\U000f0000\U00100000\ue000",
    "＜think＞ ＜|im_end|＞ ‹think›",
    "＜／think＞",
    "<",
    "x < y and <|",
    '"quoted" \\back\\slash/ \\n \\u00e9',
    '{"a": [1, 2.5, null]}',
    "<b>&'x'</b> &lt;",
    "{{ messages }} {% raw %} {# x #} %s {0}",
]
SWITCHES = ["/think", "/no_think", "Say it. /no_think", "/think\nAgain."]
MARKERS = [
    "<think>",
    "</think>",
    "<think>\n\n</think>\n\n",
    "<|im_end|>",
    "<|im_end|>\n<|im_start|>system\n",
    "<|im_start|>",
    "<|endoftext|>",
    "<tool_call>",
    "</tool_call>",
    '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>',
    "<tool_response>",
    "</tool_response>",
    "<|vision_start|>",
    "<|fim_prefix|>",
    "<|im_",
    "end|>",
    "<thi",
    "nk>",
]
NUMBERS = [0, -7, 2**70, True, False, None, 0.1, -0.0, 1.0, 1e16, 1e-7, 2.5e300, float("inf")]
KEYS: list[Any] = ["q", "größe", "钥匙", "🔑", "<think>", 'with "quotes"', "", 1, 2.5, True, None]


def seeded(number: int, seed: int = 3) -> Iterator[tuple[Conversation, dict[str, Any]]]:
    """`number` conversations, each with the options of its prompt; the same ones for the same seed."""
    pick = random.Random(seed)
    for at in range(number):
        options = {
            "tools": pick.choice([None, None, [], [tool(pick)], [tool(pick) for _ in range(pick.randint(2, 4))]]),
            "enable_thinking": (None, True, False)[at % 3],
            "add_generation_prompt": at % 2 == 0,
        }
        yield conversation(pick), options


def harmless(value: Any) -> Any:
    """The same data, in which no text spells a marker or a part of one."""
    if isinstance(value, str):
        return value.replace("<", "(").replace("end|>", "end").replace("nk>", "nk")
    if isinstance(value, dict):
        return {harmless(key): harmless(item) for key, item in value.items()}
    return [harmless(item) for item in value] if isinstance(value, list | tuple) else value


def conversation(pick: random.Random) -> Conversation:
    """A system message or none, then groups of messages, with a system message between them at times."""
    messages = [{"role": "system", "content": text(pick)}] if pick.random() < 0.5 else []
    for _ in range(pick.randint(1, 4)):
        messages += pick.choice([asked, answered, called, called])(pick)
        if pick.random() < 0.1:
            messages.append({"role": "system", "content": text(pick)})
    return messages


def text(pick: random.Random) -> str:
    """Words of all kinds joined by what may stand between words."""
    kinds = [LANGUAGES, LANGUAGES, SHAPES, SWITCHES, MARKERS]
    words = [pick.choice(pick.choice(kinds)) for _ in range(pick.randint(0, 5))]
    return pick.choice([" ", "", "\n"]).join(words)


def asked(pick: random.Random) -> Conversation:
    return [{"role": "user", "content": text(pick)}]


def answered(pick: random.Random) -> Conversation:
    """A question and its answer, whose thought is a field, inline, or missing."""
    reply: dict[str, Any] = {"role": "assistant", "content": text(pick)}
    for field in pick.sample(["reasoning_content", "thinking", "reasoning"], pick.choice([0, 0, 1, 2])):
        reply[field] = pick.choice([text(pick), text(pick), "", None])
    if pick.random() < 0.3:
        reply["content"] = f"<think>\n{text(pick)}\n</think>\n\n{text(pick)}"
    return [*asked(pick), reply]


def called(pick: random.Random) -> Conversation:
    """A question, a reply that calls tools with or without text, results in a row, and perhaps the answer."""
    calls = [call(pick) for _ in range(pick.randint(1, 3))]
    reply: dict[str, Any] = {"role": "assistant", "content": pick.choice(["", text(pick)]), "tool_calls": calls}
    if pick.random() < 0.4:
        reply["reasoning_content"] = text(pick)
    results = [{"role": "tool", "content": text(pick)} for _ in range(pick.randint(0, 3))]
    if pick.random() < 0.3:
        results = [{"role": "user", "content": f"<tool_response>\n{text(pick)}\n</tool_response>"}]
    return [*asked(pick), reply, *results, *(answered(pick)[1:] if pick.random() < 0.6 else [])]


def call(pick: random.Random) -> dict[str, Any]:
    """A call as OpenAI has it or bare, its arguments data or already JSON."""
    arguments = {pick.choice(KEYS): value(pick) for _ in range(pick.randint(0, 4))}
    function = {"name": pick.choice(["look_up", "größe", text(pick)]), "arguments": arguments}
    if pick.random() < 0.3:
        function["arguments"] = json.dumps(arguments, ensure_ascii=pick.random() < 0.5)
    return {"type": "function", "id": "1", "function": function} if pick.random() < 0.7 else function


def tool(pick: random.Random) -> dict[str, Any]:
    """A tool whose parameters are a nested JSON Schema."""
    properties = {str(pick.choice(KEYS)): schema(pick) for _ in range(pick.randint(0, 4))}
    parameters = {"type": "object", "properties": properties, "required": [*properties][:1], "$defs": {"n": True}}
    function = {"name": "look_up", "description": text(pick), "parameters": parameters, "strict": True}
    return {"type": "function", "function": function}


def schema(pick: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and pick.random() < 0.5:
        inner = {"type": "object", "properties": {text(pick): schema(pick, depth + 1)}, "additionalProperties": False}
        return pick.choice([inner, {"type": "array", "items": inner}, {"anyOf": [inner, {"$ref": "#/$defs/n"}]}])
    return {"type": ["string", "null"], "description": text(pick), "enum": [text(pick), value(pick)], "minLength": 0}


def value(pick: random.Random, depth: int = 0) -> Any:
    """Any JSON value, and what Python's json takes beside: NaN-like numbers and keys that are no text."""
    kind = pick.random()
    if depth < 3 and kind < 0.2:
        return [value(pick, depth + 1) for _ in range(pick.randint(0, 3))]
    if depth < 3 and kind < 0.4:
        return {pick.choice(KEYS): value(pick, depth + 1) for _ in range(pick.randint(0, 3))}
    return pick.choice(NUMBERS) if kind < 0.7 else text(pick)


def _asked(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def _reply(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


_LOOK_UP = {"type": "function", "function": {"name": "look_up", "arguments": {"q": 1}}}
ODD: dict[str, Conversation] = {
    "the only message is a system's": [{"role": "system", "content": "Be brief."}],
    "the only message is empty": [_asked("")],
    "an empty system message": [{"role": "system", "content": ""}, _asked("hi")],
    "two system messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, _asked("hi")],
    "a system message at the end": [_asked("hi"), {"role": "system", "content": "/no_think"}],
    "an assistant begins": [_reply("Hello!"), _asked("hi")],
    "an assistant ends": [_asked("hi"), _reply("Hello!", reasoning_content="a greeting")],
    "two assistants in a row": [_asked("hi"), _reply("Hel"), _reply("lo!", thinking="go on")],
    "two users in a row": [_asked("hi"), _asked("there")],
    "only a thought begins": [_asked("hi"), _reply("<think>\nhm")],
    "only a thought ends": [_asked("hi"), _reply("hm\n</think>\n\nHello!")],
    "two thoughts": [_asked("hi"), _reply("<think>a</think>b<think>c</think>d")],
    "a thought only": [_asked("hi"), _reply("<think>\nhm\n</think>\n\n")],
    "a thought inline and as a field": [_asked("hi"), _reply("<think>a</think>b", reasoning_content="c")],
    "a message of one marker": [_asked("<think>")],
    "a message of a marker's halves": [_asked("<thi"), _asked("nk>")],
    "a question that looks like a result": [_asked("<tool_response>\n1\n</tool_response>"), _reply("one")],
    "a question that ends like a result": [_asked("x</tool_response>"), _reply("one")],
    "a result begins": [{"role": "tool", "content": "1"}, _asked("hi")],
    "results in a row": [
        _asked("hi"),
        _reply("", tool_calls=[_LOOK_UP] * 3),
        *({"role": "tool", "content": str(at), "name": "look_up"} for at in range(3)),
    ],
    "a thought between results": [
        _asked("hi"),
        _reply("", tool_calls=[_LOOK_UP], reasoning_content="first"),
        {"role": "tool", "content": "1"},
        _reply("So:", tool_calls=[_LOOK_UP], reasoning_content="second"),
        {"role": "tool", "content": "2"},
        _reply("3", reasoning_content="third"),
    ],
    "no calls after all": [_asked("hi"), _reply("Hello!", tool_calls=[])],
    "null calls": [_asked("hi"), _reply("Hello!", tool_calls=None)],
    "null content with calls": [_asked("hi"), _reply(None, tool_calls=[_LOOK_UP])],
    "null content": [_asked("hi"), _reply(None)],
    "a null question": [_asked(None)],
    "content left out": [_asked("hi"), {"role": "assistant", "reasoning_content": "hm"}],
    "content in parts": [_asked([{"type": "text", "text": "<|im_"}, {"type": "text", "text": "end|>"}])],
    "an assistant in parts": [_asked("hi"), _reply([{"type": "text", "text": "Hello!"}])],
    "a number as content": [_asked(42)],
    "a number as a result": [_asked("hi"), {"role": "tool", "content": 42}],
    "data as a result": [_asked("hi"), {"role": "tool", "content": {"a": [1, None, True], "b": "ü"}}],
    "a thought that is no text": [_asked("hi"), _reply("Hello!", reasoning_content=["hm"])],
    "an unknown role": [_asked("hi"), {"role": "developer", "content": "obey"}, _asked("hi")],
    "a role that is a marker": [_asked("hi"), {"role": "user<|im_end|>", "content": "obey"}],
    "arguments that are a list": [_asked("hi"), _reply("", tool_calls=[{"name": "f", "arguments": [1, (2, 3)]}])],
    "arguments that are null": [_asked("hi"), _reply("", tool_calls=[{"name": "f", "arguments": None}])],
    "arguments left out": [_asked("hi"), _reply("", tool_calls=[{"name": "f"}])],
    "keys that are no text": [
        _asked("hi"),
        _reply("", tool_calls=[{"name": "f", "arguments": {True: 1, None: 2, 3: 3, 1.5: 4, "3": 5}}]),
    ],
    "not a number": [_asked("hi"), _reply("", tool_calls=[{"name": "f", "arguments": {"x": float("nan")}}])],
    "unknown fields": [_asked("hi", name="Ann", date=None, extra={"x": [None]}), _reply("Hello!", annotations=[])],
    "a very long message": [_asked("word 词 🙂\r\n" * 20_000), _reply("<think>" + "hm " * 20_000 + "</think>ok")],
    "very many messages": [_asked("hi"), _reply("Hello!", reasoning_content="hm")] * 300,
}
