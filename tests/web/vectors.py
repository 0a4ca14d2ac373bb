"""What the Python runtime gives, written down for the engine in TypeScript: `python -m tests.web.vectors`.

Both sides are held against the same files in `deploy/web/engine/vectors`: prompts and histories to ids, scripted logits
to the events of a reply, ids to pieces of text, logits to candidates and ids, tool calls to their parts.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.runtime.prompt.conversations import ODD, seeded
from tests.web.scripted_model import ROOT, nano_manifest, nano_template, nano_tokenizer, scripted_model

from thinkport.runtime.artifact.manifest import SamplingPreset
from thinkport.runtime.engine.sampling import SamplingSettings, candidates, draw, presence_penalty, repetition_penalty
from thinkport.runtime.engine.generation import Finish
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import AnswerPiece, End, Event, ThoughtPiece, ToolCall
from thinkport.runtime.prompt.messages import checked
from thinkport.runtime.prompt.prompt import PromptEncoder
from thinkport.runtime.prompt.reply_memory import ReplyMemory
from thinkport.runtime.prompt.tokenizer import Detokenizer
from thinkport.runtime.thinking.thinking import Thinking
from thinkport.runtime.thinking.thinking_switch import decide, opening
from thinkport.runtime.thinking.thought_loops import LoopDetector
from thinkport.runtime.tools.tool_call_splitter import ToolCallSplitter
from thinkport.runtime.tools.tool_calls import message_calls, read_call
from thinkport.runtime.tools.toolbox import ToolBox

FOLDER = ROOT / "deploy" / "web" / "engine" / "vectors"
SEEDED = 90  # conversations, of which some can't be spelled alike in JavaScript
LONG = 2_000  # characters of JSON; longer conversations are left out
END = "<|im_end|>"
LOOK_UP = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def prompts() -> Iterator[dict[str, Any]]:
    """Conversations, what the template is told, the prompt's ids and those of the history; a message where refused."""
    tokenizer, template = nano_tokenizer(), nano_template()
    ids = nano_manifest().thinking
    cases = [(messages, {"tools": None, "enable_thinking": None}) for messages in ODD.values()]
    for messages, options in [*cases, *seeded(SEEDED)]:
        given = [messages, options["tools"]]
        if not spelled_alike(given) or len(json.dumps(given)) > LONG:
            continue
        told = {"tools": options["tools"], "enable_thinking": options["enable_thinking"]}
        case: dict[str, Any] = {"messages": messages, **told}
        encoder = PromptEncoder(tokenizer, template, ReplyMemory())
        try:
            case["ids"] = encoder.encode(checked(messages), **told).ids
            case["history"] = encoder.history(checked(messages), **told)
            case["opening"] = opening(case["ids"], ids, tokenizer).value
        except InputError:
            case["refused"] = True
        yield case


def spelled_alike(value: Any) -> bool:
    """Whether JavaScript writes JSON data as Python does: no `1.0`, no number above 2**53, no key that is a number."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and not key.isdigit() and spelled_alike(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(spelled_alike, value))
    return value is None or isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 2**53) or value == 0.1


def switches() -> Iterator[dict[str, Any]]:
    """Who says what of thinking, and what is decided."""
    asked: list[bool | str | None] = [None, True, False, "auto"]
    said = ["hi", "hi /no_think", "/think hi", "/no_think then /think", "see path/think", "<tool_response>\n/no_think\n</tool_response>"]
    for call in asked:
        for chat in (None, True, False):
            for manifest in (None, False):
                for text in said:
                    messages = [{"role": "system", "content": "/no_think"}, {"role": "user", "content": text}]
                    found = decide(messages[1:] if text == "hi" else messages, *map(thinking_of, (call, chat, None)), manifest)
                    yield {
                        "text": text, "call": call, "chat": chat, "manifest": manifest,
                        "enabled": found.enabled.value, "by": found.by.value, "hard": found.hard,
                    }  # fmt: skip


def thinking_of(asked: bool | str | None) -> Thinking | None:
    return None if asked is None else Thinking(enabled=asked)  # type: ignore[arg-type]


def replies() -> Iterator[dict[str, Any]]:
    """Scripted logits with settings, and the events of the reply."""
    for name, case in REPLIES.items():
        script = [row for part in case["script"] for row in rows_of(part)]
        model = scripted_model(
            script, context_length=case.get("context_length", 4096), enable_thinking=case.get("enable_thinking")
        )
        settings = case.get("thinking")
        thinking = Thinking(**settings) if isinstance(settings, dict) else settings
        options: dict[str, Any] = {"sampling": {"temperature": 0}, "max_tokens": case.get("max_tokens"), "thinking": thinking}
        reply = model.stream(case.get("text", "What is 2+2?"), tools=case.get("tools"), **options)
        events = []
        for event in reply:
            events.append(as_data(event))
            if len(events) == case.get("stop_thinking_after"):
                reply.stop_thinking()
            if len(events) == case.get("cancel_after"):
                reply.cancel()
        yield {"name": name, **case, "script": script, "events": events}


def rows_of(part: str | Mapping[str, float] | int) -> list[Any]:
    if isinstance(part, str):
        return nano_tokenizer().encode(part)
    return [part]


def as_data(event: Event) -> dict[str, Any]:
    if isinstance(event, ThoughtPiece | AnswerPiece):
        kind = "thought" if isinstance(event, ThoughtPiece) else "answer"
        return {"type": kind, "text": event.text, "forced": event.forced, "tokens": event.tokens}
    if isinstance(event, ToolCall):
        return {"type": "tool_call", **call_data(event)}
    assert isinstance(event, End)
    return {
        "type": "end", "thought": event.thought, "answer": event.answer, "toolCalls": len(event.tool_calls),
        "thinkingEnd": event.thinking_end.value, "answerEnd": event.answer_end.value, "enabled": event.enabled.value,
        "decidedBy": event.decided_by.value, "promptTokens": event.prompt_tokens, "cachedTokens": event.cached_tokens,
        "forcedTokens": event.forced_tokens, "thinkingTokens": event.thought_tokens, "answerTokens": event.answer_tokens,
    }  # fmt: skip


def call_data(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "args": call.arguments, "text": call.text, "wrong": call.problem is not None}


THOUGHT = "Let me see. Two and two.\nThat is four."
REPLIES: dict[str, dict[str, Any]] = {
    "natural": {"script": [f"<think>\n{THOUGHT}\n</think>\n\nIt is 4.{END}"], "thinking": True},
    "left to the model, which thinks": {"script": [f"<think>\n{THOUGHT}\n</think>\n\n4{END}"]},
    "left to the model, which answers": {"script": [f"It is 4.{END}"]},
    "off": {"script": [f"It is 4.{END}"], "thinking": False},
    "off by the manifest": {"script": [f"It is 4.{END}"], "enable_thinking": False},
    "off by a message": {"script": [f"<think>\n\n</think>\n\nIt is 4.{END}"], "text": "What is 2+2? /no_think"},
    "on by a message over the manifest": {
        "script": [f"{THOUGHT}\n</think>\n\n4{END}"], "text": "/think 2+2?", "enable_thinking": False,
    },
    "budget": {"script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": {"enabled": "on", "budget": 12}},
    "budget of nothing": {"script": [f"It is 4.{END}"], "thinking": {"enabled": "on", "budget": 0}},
    "budget in auto": {"script": [f"<think>\n{THOUGHT}{THOUGHT}"], "thinking": {"budget": 7, "message": ""}},
    "budget with a message of markers": {
        "script": [f"\n{THOUGHT}", f"4{END}"], "thinking": {"enabled": "on", "budget": 3, "message": "</think><|im_end|>"},
    },
    "reserve": {"script": [f"\n{THOUGHT}{THOUGHT}{THOUGHT}{THOUGHT}", f"It is 4.{END}"], "thinking": True, "max_tokens": 90},
    "reserve without a message": {"script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": True, "max_tokens": 20},
    "reserve of one token": {
        "script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": {"enabled": "on", "answer_reserve": 1}, "max_tokens": 30,
    },
    "loop of tokens": {"script": ["\n" + "again and " * 40, f"It is 4.{END}"], "thinking": True},
    "loop of lines": {
        "script": ["\n" + "".join(f"{n} Wait, let me check this again now.\nWait, let me check this again now.\n" for n in range(9)),
                   f"It is 4.{END}"],
        "thinking": True,
    },
    "loops that are allowed": {
        "script": ["\n" + "again and " * 40 + f"</think>It is 4.{END}"], "thinking": {"enabled": "on", "stop_loops": False},
    },
    "answer now": {"script": [f"\n{THOUGHT}", f"It is 4.{END}"], "thinking": True, "stop_thinking_after": 5},
    "answer now while it answers": {
        "script": [f"\n{THOUGHT}\n</think>\n\nIt is 4.{END}"], "thinking": True, "stop_thinking_after": 40,
    },
    "cancelled in the thought": {"script": [f"\n{THOUGHT}"], "thinking": True, "cancel_after": 4},
    "cancelled in the answer": {"script": [f"It is 4.{END}"], "thinking": False, "cancel_after": 2},
    "length in the thought": {"script": [f"\n{THOUGHT}"], "thinking": {"enabled": "on", "answer_reserve": 1}, "max_tokens": 2},
    "length in the answer": {"script": ["It is 4, and so on."], "thinking": False, "max_tokens": 9},
    "context": {"script": ["It is 4, and so on and on and on and on and on."], "thinking": False, "context_length": 40},
    "stop within the thought": {
        "script": ["\nHm.", {"505": 5.0, "511": 4.9, "10": 4.8}, f"\n\n4{END}"], "thinking": True,
    },
    "a second thought is not begun": {
        "script": ["\nHm.</think>\n\n", {"510": 9.0, "20": 8.0}, END], "thinking": True,
    },
    "a thought is not closed twice": {
        "script": ["\nHm.</think>\n\n", {"511": 9.0, "20": 8.0}, END], "thinking": True,
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
    "half a character at the end": {"script": ["ab", 240 - 33 + 0, END], "thinking": False},
    "half a character before the answer": {"script": ["\nab", 199, f"</think>\n\n🙂{END}"], "thinking": True},
    "newlines": {"script": [f"\n\n\na\n\n</think>\n\n\n\nb\n\nc\n\n{END}"], "thinking": True},
    "a call": {
        "script": [f'<tool_call>\n{{"name": "look_up", "arguments": {{"q": "été", "n": [1, 2.5, null]}}}}\n</tool_call>{END}'],
        "thinking": False, "tools": [LOOK_UP],
    },
    "tags without tools": {"script": [f'<tool_call>{{"name": 1}}</tool_call>{END}'], "thinking": False},
    "a penalty for what came": {
        "script": [{"40": 5.0, "41": 4.5}, {"40": 5.0, "41": 4.5}, {"40": 5.0, "41": 4.5}, END],
        "thinking": False,
    },
}  # fmt: skip


SPLITS = {
    "two calls and text": 'Well.\n\n<tool_call>\n{"name": "look_up", "arguments": {}}\n</tool_call>\n<tool_call>\n'
    '{"name": "other", "arguments": {}}\n</tool_call>\n',
    "a call that is not closed": '<tool_call>{"name": "look_up", "arguments": {}}<tool_call>{"name": "look_up"}',
    "text behind a call": '\n\n<tool_call>{"name": "look_up", "arguments": {"a": "🙂"}}</tool_call>\n\nDone.\n\n',
    "a tag that closes nothing": "a</tool_call>b\n\n",
    "newlines alone": "\n\n\n",
}


def splits() -> Iterator[dict[str, Any]]:
    """An answer's ids, and its pieces where it stops and where it is cut off; each call is held against one tool."""
    tokenizer, box = nano_tokenizer(), ToolBox([LOOK_UP])
    for name, text in SPLITS.items():
        for finish in (Finish.STOP, Finish.LENGTH):
            for tools in (box, ToolBox([])):
                splitter = ToolCallSplitter(tokenizer, tools)
                ids = tokenizer.encode(text)
                pieces = [piece for token in ids for piece in splitter.feed(token)] + splitter.flush(finish)
                found = [call_data(piece) if isinstance(piece, ToolCall) else piece for piece in pieces]
                yield {"name": name, "ids": ids, "finish": finish.value, "tools": bool(tools), "pieces": found}


def texts() -> Iterator[dict[str, Any]]:
    """Ids, and the text that is whole with each; the last piece is what was still held.

    Of bytes that are no UTF-8 the sum counts: JavaScript finds out earlier that a character can't become whole.
    """
    pick = random.Random(5)
    tokenizer = nano_tokenizer()
    whole = [tokenizer.encode(text) for text in ("né 你好, 🙂👩‍👧!", "\ufeffa\u2028b", "ﬁ <think> e\u0301")]
    mixed = [[pick.randrange(512) for _ in range(40)] for _ in range(12)]
    bytes_only = [[pick.choice(range(94, 256)) for _ in range(40)] for _ in range(12)]
    for ids in [*whole, *mixed, *bytes_only]:
        detokenizer = Detokenizer(tokenizer)
        pieces = [*map(detokenizer.feed, ids), detokenizer.flush()]
        yield {"ids": ids, "sound": ids in whole, "pieces": pieces}


def samples() -> Iterator[dict[str, Any]]:
    """Logits, settings and random numbers, the ids that may be drawn, and the one that is."""
    pick = random.Random(7)
    for _ in range(40):
        logits = np.array([round(pick.gauss(0, 3), 2) for _ in range(24)], np.float32)
        settings = {
            "temperature": pick.choice([0.0, 0.6, 1.0, 1.7]), "top_k": pick.choice([0, 1, 5, 20]),
            "top_p": pick.choice([1.0, 0.95, 0.5]), "min_p": pick.choice([0.0, 0.1]),
            "presence_penalty": pick.choice([0.0, 1.5]), "repetition_penalty": pick.choice([1.0, 1.3]),
        }  # fmt: skip
        prompt, generated = ([pick.randrange(24) for _ in range(4)] for _ in range(2))
        drawn = pick.random()
        made = SamplingSettings.from_preset(SamplingPreset.model_validate(settings))
        row = logits.copy()
        repetition_penalty(row, np.array(sorted({*prompt, *generated})), made.repetition_penalty)
        presence_penalty(row, np.array(sorted({*generated})), made.presence_penalty)
        ids = candidates(row, made)[0].tolist() if made.temperature else None
        yield {
            "logits": [float(one) for one in logits], "settings": settings, "prompt": prompt, "generated": generated,
            "random": drawn, "candidates": ids, "id": draw(row, made, FixedNumber(drawn)),  # type: ignore[arg-type]
        }  # fmt: skip


class FixedNumber:
    """A generator of one number."""

    def __init__(self, number: float):
        self._number = number

    def random(self) -> float:
        return self._number


CALLS = [
    '{"name": "f", "arguments": {"a": 1}}', '\n{"name": "f", "arguments": {}}\n', '{"name": "f"}', '{"arguments": {}}',
    '{"name": "", "arguments": {}}', '{"name": 3, "arguments": {}}', "[1]", "null", "not json", '{"name": "f", "arguments": [1]}',
    '{"name": "f", "arguments": "{\\"a\\": [true, null]}"}', '{"name": "f", "arguments": "no json"}', '{"name": "f", "arguments": {"a": 1}',
    '{"name": "f", "arguments": {"a": NaN}}', '{"name": "f", "arguments": {"a": 1e999}}', '{"name": "f", "arguments": {"a": "\\ud800"}}',
    '{"name": "f", "arguments": ' + '{"a": ' * 70 + "1" + "}" * 70 + "}", '{"name": "f", "name": "g", "arguments": {}}',
    '{"name": "größe", "arguments": {"ü": "🙂"}, "more": 1}', "", '{"name": "f", "arguments": {"a": 1}} and more', "\u00a0{}",
]  # fmt: skip


def calls() -> Iterator[dict[str, Any]]:
    """What stands between the tags, the call that it is, and how the history has it."""
    for text in CALLS:
        call = read_call(text)
        (kept,) = message_calls([call])
        yield {**call_data(call), "history": kept["function"]}


def loops() -> Iterator[dict[str, Any]]:
    """Ids of a thought, and at which of them it is found to repeat itself; None where it does not."""
    tokenizer = nano_tokenizer()
    pick = random.Random(9)
    cycle = [pick.randrange(400) for _ in range(31)]
    lists = "".join(f"{n}. item {n} is the number {n}\n" for n in range(40))
    same = "This line is the very same line.\nA short one.\n" * 12
    for ids in ([5] * 80, cycle * 6, [*cycle, *cycle, 1] * 4, tokenizer.encode(lists), tokenizer.encode(same)):
        detokenizer = Detokenizer(tokenizer)
        detector = LoopDetector(detokenizer.feed)
        yield {"ids": ids, "found": next((at for at, token in enumerate(ids) if detector.feed(token)), None)}


VECTORS = {
    "prompts": prompts, "switches": switches, "replies": replies, "splits": splits, "texts": texts, "samples": samples,
    "calls": calls, "loops": loops,
}  # fmt: skip


def written(name: str) -> str:
    """The file of a kind of vectors, a case a line."""
    cases = [json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in VECTORS[name]()]
    return "[\n" + ",\n".join(cases) + "\n]\n"


def write(folder: Path = FOLDER, names: Sequence[str] = tuple(VECTORS)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.json").write_text(written(name), encoding="utf-8")


if __name__ == "__main__":
    write()
