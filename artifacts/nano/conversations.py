"""Problems as chats and chats as token ids. Knows the template, the switches and the loss mask; knows no model."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from problems import Problem, make
from tokenizer import CUT, SYSTEM, TEMPLATE

EMPTY = "<think>\n\n</think>\n\n"
TEMPLATE_OF = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE.read_text())


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt, what stands after it without being learned (`given`), and the text the loss is on."""

    prompt: str
    given: str
    learned: str


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Token ids of an example; the loss is on `ids[start:]`."""

    ids: list[int]
    start: int


def render(messages: list[dict[str, Any]], *, enable_thinking: bool = True) -> str:
    """The prompt of the messages, ready for the assistant's reply."""
    return TEMPLATE_OF.render(messages=messages, add_generation_prompt=True, enable_thinking=enable_thinking)


def example(rng: random.Random, mix: Mapping[str, float], *, think: bool) -> Example:
    """A training chat of one to three turns whose last reply thinks or does not, as its switches say."""
    messages: list[dict[str, Any]] = []
    on = True
    if rng.random() < 0.15:
        text = rng.choice(SYSTEM)
        if rng.random() < 0.4:
            on = rng.random() < 0.5
            text += " /think" if on else " /no_think"
        messages.append({"role": "system", "content": text})
    for _ in range(rng.choices((0, 1, 2), weights=(88, 9, 3))[0]):
        past = _problem(rng, mix)
        asked = past.question
        if rng.random() < 0.2:
            on = rng.random() < 0.5
            asked += " /think" if on else " /no_think"
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": past.answer}]
    problem = _problem(rng, mix)
    hard_off = not think and rng.random() < 0.7
    asked = problem.question
    if hard_off:
        # With the hard switch off, soft switches must change nothing.
        asked += rng.choices(("", " /think", " /no_think"), weights=(90, 5, 5))[0]
    elif on != think or rng.random() < 0.15:
        asked += " /think" if think else " /no_think"
    messages.append({"role": "user", "content": asked})
    prompt = render(messages, enable_thinking=not hard_off)
    if not think:
        return Example(prompt=prompt, given="", learned=("" if hard_off else EMPTY) + problem.answer + "<|im_end|>")
    lines = "\n".join(problem.thought)
    if rng.random() < 0.03:
        cut = lines[: rng.randrange(len(lines))]
        given = f"<think>\n{cut}{CUT}</think>\n\n"
        return Example(prompt=prompt, given=given, learned=problem.answer + "<|im_end|>")
    return Example(prompt=prompt, given="", learned=f"<think>\n{lines}\n</think>\n\n{problem.answer}<|im_end|>")


def encode(tokenizer: Tokenizer, examples: list[Example]) -> list[Encoded]:
    """The ids of the examples; prompt and reply are encoded apart, as a runtime does."""
    flat = [text for e in examples for text in (e.prompt, e.given, e.learned)]
    ids = [e.ids for e in tokenizer.encode_batch(flat, add_special_tokens=False)]
    return [
        Encoded(ids=prompt + given + learned, start=len(prompt) + len(given))
        for prompt, given, learned in zip(ids[::3], ids[1::3], ids[2::3], strict=True)
    ]


def _problem(rng: random.Random, mix: Mapping[str, float]) -> Problem:
    task = rng.choices(list(mix), weights=list(mix.values()))[0]
    return make(rng, task, held_out=False)
