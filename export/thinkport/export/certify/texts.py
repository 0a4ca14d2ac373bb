"""The texts of a certificate: long enough that perplexity means something, of several kinds, in two languages.

They stand in `texts.json`, were written for this and are no calibration texts: a test holds the two sets apart. What is
in no golden costs an artifact no bytes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from thinkport.export.certify.measured_text import MeasuredText, whole_text
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.families import DecoderShape
from thinkport.export.reference.encoder import Encoder
from thinkport.export.reference.logits import Ids

MOST_TOKENS = 112  # of a text: of 144, SmolLM2-135M's mean is known to 10.0 % instead of 10.7 %
ASKED_TOKENS = 64  # of a question that the model answers itself


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt (tokens,) that a graph answers itself, in a thinking mode or not."""

    ids: Ids
    thinking: bool


def certificate_texts(checkpoint: Checkpoint, shape: DecoderShape) -> list[MeasuredText]:
    """The texts, of `MOST_TOKENS` each at most.

    Raises:
        ThinkportError: the tokenizer or the chat template can't be used, or they don't fit the model.
    """
    most = min(MOST_TOKENS, shape.context_length // 2)
    encoder = Encoder(checkpoint, shape.vocab_size)
    return [whole_text(name, ids[:most], kind=kind, language=language) for name, kind, language, ids in _texts(encoder)]


def asked_questions(checkpoint: Checkpoint, shape: DecoderShape, *, can_think: bool) -> list[Question]:
    """What the model is asked for replies of its own; every other one is to be thought about where it can.

    Raises:
        ThinkportError: as `certificate_texts`.
    """
    encoder, most = Encoder(checkpoint, shape.vocab_size), min(ASKED_TOKENS, shape.context_length // 2)
    asked = []
    for number, text in enumerate(_written()["asked"]):
        thinking = can_think and number % 2 == 0
        ids = encoder.chat([{"role": "user", "content": text}], thinking=thinking)
        asked.append(Question(ids=ids[-most:], thinking=thinking))
    return asked


def _texts(encoder: Encoder) -> Iterator[tuple[str, str, str | None, Ids]]:
    """Name, kind, language and ids of each."""
    written = _written()
    for one in written["texts"]:
        yield one["name"], one["kind"], one["language"], encoder.text(one["text"])
    for one in written["chats"]:
        ids = encoder.chat(one["messages"], thinking=True, to_be_answered=False)
        kind = one["kind"] if one["kind"] != "thinking" or _thinks(encoder, one["messages"], ids) else "chat"
        yield one["name"], kind, one["language"], ids


def _thinks(encoder: Encoder, messages: Sequence[dict[str, Any]], ids: Ids) -> bool:
    """Whether the template writes thoughts: those of other models are left out, and a chat is left."""
    said = [{name: text for name, text in message.items() if name != "reasoning_content"} for message in messages]
    return not np.array_equal(encoder.chat(said, thinking=True, to_be_answered=False), ids)


def _written() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = json.loads(files(__package__).joinpath("texts.json").read_text("utf-8"))
    return found
