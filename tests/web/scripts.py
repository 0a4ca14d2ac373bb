"""What scripted models say: replies with their settings, answers with calls, and what stands between a call's tags."""

from typing import Any

END = "<|im_end|>"
LOOK_UP = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}

THOUGHT = "Let me see. Two and two.\nThat is four."
CHECK = "Wait, let me check this again now.\n"
REPLIES: dict[str, dict[str, Any]] = {
    "natural": {"script": [f"<think>\n{THOUGHT}\n</think>\n\nIt is 4.{END}"], "thinking": True},
    "left to the model, which thinks": {"script": [f"<think>\n{THOUGHT}\n</think>\n\n4{END}"]},
    "left to the model, which answers": {"script": [f"It is 4.{END}"]},
    "off": {"script": [f"It is 4.{END}"], "thinking": False},
    "off by the manifest": {"script": [f"It is 4.{END}"], "enable_thinking": False},
    "off by a message": {"script": [f"<think>\n\n</think>\n\nIt is 4.{END}"], "text": "What is 2+2? /no_think"},
    "on by a message over the manifest": {
        "script": [f"{THOUGHT}\n</think>\n\n4{END}"],
        "text": "/think 2+2?",
        "enable_thinking": False,
    },
    "budget": {"script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": {"enabled": "on", "budget": 12}},
    "budget of nothing": {"script": [f"It is 4.{END}"], "thinking": {"enabled": "on", "budget": 0}},
    "budget in auto": {"script": [f"<think>\n{THOUGHT}{THOUGHT}"], "thinking": {"budget": 7, "message": ""}},
    "budget with a message of markers": {
        "script": [f"\n{THOUGHT}", f"4{END}"],
        "thinking": {"enabled": "on", "budget": 3, "message": "</think><|im_end|>"},
    },
    "reserve": {
        "script": [f"\n{THOUGHT}{THOUGHT}{THOUGHT}{THOUGHT}", f"It is 4.{END}"],
        "thinking": True,
        "max_tokens": 90,
    },
    "reserve without a message": {"script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": True, "max_tokens": 20},
    "reserve of one token": {
        "script": [f"\n{THOUGHT}", f"It is 4.{END}"],
        "thinking": {"enabled": "on", "answer_reserve": 1},
        "max_tokens": 30,
    },
    "loop of tokens": {"script": ["\n" + "again and " * 40, f"It is 4.{END}"], "thinking": True},
    "loop of lines": {
        "script": ["\n" + "".join(f"{n} Wait.\n{CHECK}{CHECK}" for n in range(9)), f"It is 4.{END}"],
        "thinking": True,
    },
    "loops that are allowed": {
        "script": ["\n" + "again and " * 40 + f"</think>It is 4.{END}"],
        "thinking": {"enabled": "on", "stop_loops": False},
    },
    "answer now": {"script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": True, "stop_thinking_after": 5},
    "answer now while it answers": {
        "script": [f"\n{THOUGHT}\n</think>\n\nIt is 4.{END}"],
        "thinking": True,
        "stop_thinking_after": 40,
    },
    "cancelled in the thought": {"script": [f"\n{THOUGHT}"], "thinking": True, "cancel_after": 4},
    "cancelled in the answer": {"script": [f"It is 4.{END}"], "thinking": False, "cancel_after": 2},
    "length in the thought": {
        "script": [f"\n{THOUGHT}"],
        "thinking": {"enabled": "on", "answer_reserve": 1},
        "max_tokens": 2,
    },
    "length in the answer": {"script": ["It is 4, and so on."], "thinking": False, "max_tokens": 9},
    "context": {"script": ["It is 4, and so on and on and on and on and on."], "thinking": False, "context_length": 40},
    "stop within the thought": {
        "script": ["\nHm.", {"505": 5.0, "511": 4.9, "10": 4.8}, f"\n\n4{END}"],
        "thinking": True,
    },
    "a second thought is not begun": {
        "script": ["\nHm.</think>\n\n", {"510": 9.0, "20": 8.0}, END],
        "thinking": True,
    },
    "a thought is not closed twice": {
        "script": ["\nHm.</think>\n\n", {"511": 9.0, "20": 8.0}, END],
        "thinking": True,
    },
    "soft": {
        "script": ["\n", *[part for _ in range(6) for part in ("So", ".", {"511": 4.0, "30": 6.0})], f"4{END}"],
        "thinking": {"enabled": "on", "budget": 30, "soft_from": 0.2},
    },
    "soft with a small lift": {
        "script": ["\n", *[part for _ in range(6) for part in ("So", ".", {"511": 4.0, "30": 6.0})], f"4{END}"],
        "thinking": {"enabled": "on", "budget": 30, "soft_from": 0.2, "soft_lift": 1.0},
    },
    "characters of several tokens": {"script": [f"é 你好 🙂👩‍👧 {END}"], "thinking": False},
    "half a character at the end": {"script": ["ab", 207, END], "thinking": False},
    "half a character before the answer": {"script": ["\nab", 199, f"</think>\n\n🙂{END}"], "thinking": True},
    "newlines": {"script": [f"\n\n\na\n\n</think>\n\n\n\nb\n\nc\n\n{END}"], "thinking": True},
    "a call": {
        "script": [
            f'<tool_call>\n{{"name": "look_up", "arguments": {{"q": "été", "n": [1, 2.5, null]}}}}\n</tool_call>{END}'
        ],
        "thinking": False,
        "tools": [LOOK_UP],
    },
    "tags without tools": {"script": [f'<tool_call>{{"name": 1}}</tool_call>{END}'], "thinking": False},
    "a penalty for what came": {
        "script": [{"40": 5.0, "41": 4.5}, {"40": 5.0, "41": 4.5}, {"40": 5.0, "41": 4.5}, END],
        "thinking": False,
    },
}

SPLITS = {
    "two calls and text": 'Well.\n\n<tool_call>\n{"name": "look_up", "arguments": {}}\n</tool_call>\n<tool_call>\n'
    '{"name": "other", "arguments": {}}\n</tool_call>\n',
    "a call that is not closed": '<tool_call>{"name": "look_up", "arguments": {}}<tool_call>{"name": "look_up"}',
    "text behind a call": '\n\n<tool_call>{"name": "look_up", "arguments": {"a": "🙂"}}</tool_call>\n\nDone.\n\n',
    "a tag that closes nothing": "a</tool_call>b\n\n",
    "newlines alone": "\n\n\n",
}

CALLS = [
    '{"name": "f", "arguments": {"a": 1}}',
    '\n{"name": "f", "arguments": {}}\n',
    '{"name": "f"}',
    '{"arguments": {}}',
    '{"name": "", "arguments": {}}',
    '{"name": 3, "arguments": {}}',
    "[1]",
    "null",
    "not json",
    '{"name": "f", "arguments": [1]}',
    '{"name": "f", "arguments": "{\\"a\\": [true, null]}"}',
    '{"name": "f", "arguments": "no json"}',
    '{"name": "f", "arguments": {"a": 1}',
    '{"name": "f", "arguments": {"a": NaN}}',
    '{"name": "f", "arguments": {"a": 1e999}}',
    '{"name": "f", "arguments": {"a": "\\ud800"}}',
    '{"name": "f", "arguments": ' + '{"a": ' * 70 + "1" + "}" * 70 + "}",
    '{"name": "f", "name": "g", "arguments": {}}',
    '{"name": "größe", "arguments": {"ü": "🙂"}, "more": 1}',
    "",
    '{"name": "f", "arguments": {"a": 1}} and more',
    "\u00a0{}",
]
