"""The goldens' prompts: texts in several languages, code, mathematics, chats of both thinking modes, a long context,
and ids at random.

Made without a network and the same each time; other texts than the ones that the KV cache and the rounding are
calibrated on. Few tokens, since any machine is to run them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.reference.encoder import Encoder
from thinkport.export.reference.logits import Ids
from thinkport.runtime.prompt.template import Message

MOST_TOKENS = 40  # of a prompt, the long one aside
LONG_TOKENS = 400
LONG_ROWS = 24  # at the end of the long one
GREEDY = ("chat-thinking", "chat-answering")  # the prompts that are continued, as a user's would be
RANDOM = "random"  # ids that are no text
BRIEF = ("chat-thinking", "chat-answering", "chat-turns", RANDOM, "english", "long")  # enough to find a wrong graph

_TEXTS = {
    "english": "The baker opened her shop before sunrise, swept the step, and set the first loaves in the window to "
    "cool while the street was still empty and the lamps were going out one after another.",
    "german": "Als der Zug endlich hielt, stiegen nur drei Leute aus: ein Junge mit einem Koffer, eine Lehrerin und "
    "ein alter Mann, der niemanden erwartete und doch lange am Gleis stehen blieb.",
    "spanish": "Cada domingo mi abuela preparaba chocolate, y los vecinos subían con una silla propia porque en la "
    "cocina nunca había sitio para todos.",
    "chinese": "雨停以后，孩子们跑到河边放纸船。最小的那只走得最远，一直漂到桥下，谁也追不上它。",
    "arabic": "في المساء جلس الجيران أمام البيت وتحدثوا عن الحصاد والمطر حتى نام الأطفال.",
    "russian": "Зимой почтальон ходил на лыжах, и собаки узнавали его ещё за рекой по скрипу снега.",
    "code": "class Queue:\n    def __init__(self, size: int) -> None:\n        self._items: list[int] = []\n"
    "        self._size = size\n\n    def push(self, item: int) -> bool:\n        if len(self._items) == self._size:\n",
    "mathematics": "The sum of the first n odd numbers is n^2: 1 + 3 + 5 + 7 = 16 = 4^2. For n = 12 it is 144. "
    "If \\int_0^a x^2 dx = 9, then a^3 = 27 and a = 3.",
}
_CHATS: dict[str, tuple[bool, list[Message]]] = {
    "chat-thinking": (True, [{"role": "user", "content": "How many letters r are in the word strawberry?"}]),
    "chat-answering": (False, [{"role": "user", "content": "What is 4817 + 2596?"}]),
    "chat-turns": (
        False,
        [
            {"role": "user", "content": "Name a city by the sea."},
            {"role": "assistant", "content": "Lisbon."},
            {"role": "user", "content": "In which country is it?"},
        ],
    ),
}
_KINDS: dict[str, tuple[str | None, str | None]] = {  # and languages, of those that are not named after theirs
    **dict.fromkeys(_CHATS, ("chat", "english")),
    RANDOM: (None, None),
    "code": ("code", None),
    "mathematics": ("maths", None),
    "long": ("long context", "english"),
}


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What one graph is asked: goldens and longer texts on which it is compared, prompts that it continues greedily."""

    goldens: Sequence[MeasuredText]
    texts: Sequence[MeasuredText]
    continued: Sequence[MeasuredText]


def questions_of(prompts: Sequence[MeasuredText], texts: Sequence[MeasuredText]) -> tuple[Questions, Questions]:
    """All questions, for a graph that has to show what its rounded weights cost, and a few.

    The few are for another graph over the same weights, which has to show that it computes the same.
    """
    few = brief(prompts)
    return (
        Questions(goldens=prompts, texts=texts, continued=[one for one in prompts if one.title in GREEDY]),
        Questions(goldens=few, texts=(), continued=[one for one in few if one.title == GREEDY[0]]),
    )


def brief(prompts: Sequence[MeasuredText]) -> list[MeasuredText]:
    """The prompts that are enough to find a wrong graph."""
    return [prompt for prompt in prompts if prompt.title in BRIEF]


def golden_prompts(checkpoint: Checkpoint, vocab_size: int, context_length: int) -> list[MeasuredText]:
    """The prompts, short chats first: they are what a quick check takes.

    Raises:
        ThinkportError: the tokenizer or the chat template can't be used, or they don't fit the model.
    """
    encoder = Encoder(checkpoint, vocab_size)
    chats = {name: encoder.chat(messages, thinking=thinking) for name, (thinking, messages) in _CHATS.items()}
    anything = np.random.default_rng(0).integers(0, vocab_size, MOST_TOKENS)
    texts = {name: encoder.text(text) for name, text in _TEXTS.items()}
    long = encoder.text(_diary())[: min(LONG_TOKENS, context_length // 2)]
    prompts = [*((name, ids[:MOST_TOKENS]) for name, ids in [*chats.items(), (RANDOM, anything), *texts.items()])]
    return [_prompt(f"{number:02}-{name}", name, ids) for number, (name, ids) in enumerate([*prompts, ("long", long)])]


def _prompt(full_name: str, name: str, ids: Ids) -> MeasuredText:
    kept = LONG_ROWS if name == "long" else MOST_TOKENS
    kind, language = _KINDS.get(name, ("prose", name))
    return MeasuredText(
        name=full_name,
        ids=ids,
        rows=np.arange(max(0, len(ids) - kept), len(ids)),
        kind=kind,
        language=language,
        is_text=name in _TEXTS,
    )


def _diary() -> str:
    """A text longer than any tokenizer makes `LONG_TOKENS` of, whose end can be told from its beginning."""
    days = (
        f"Day {day}: the station measured {day * 37 % 23} millimetres of rain and a wind of {day * 53 % 31} knots. "
        for day in range(1, LONG_TOKENS // 10)
    )
    return "".join(days)
