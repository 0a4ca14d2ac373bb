"""The same reply to the bit, whatever the KV cache held before: on the trained nano model and in the shape of 0.6B."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.runtime.recorder import GREEDY, Recorder

from thinkport.runtime import End, Model

LONG = "A system message that is long enough to be shared. " * 12
QUESTIONS = ("What is 12*34?", "What is 86*57?", "What is 7*8?", "And then? " * 40)


def seen(engine, prompt, tokens: int = 4):
    recorder = Recorder()
    list(engine.generate(prompt, recorder, max_tokens=tokens, shareable=len(prompt) // 2, drafts=True))
    return np.array(recorder.seen)


@pytest.fixture(scope="module", params=["nano", "0.6B"])
def model(request) -> Iterator[Model]:
    """Both in int4, whose kernels round activations to int8, so that the pieces of a prompt show."""
    if request.param == "nano":
        folder = request.getfixturevalue("nano_artifact")
    else:
        checkpoint = request.getfixturevalue("made_up")("0.6B", "--layers", "2")
        folder = request.getfixturevalue("exported")(checkpoint)
    with Model.load(folder, provider="cpu", kernels="off", deterministic=True) as loaded:
        yield loaded


@pytest.mark.parametrize("length", [5, 127, 128, 129, 300])
def test_logits_are_the_same_over_an_empty_cache_and_over_any_start(model: Model, length: int) -> None:
    ids = np.random.default_rng(length).integers(0, model.manifest.model.vocab_size, length + 200).tolist()
    prompt = ids[:length]
    expected = seen(model.engine(), prompt)
    engine = model.engine()
    for before in (ids[: length // 2], prompt, ids, [*ids[: length // 3], *ids[-50:]], ids[: length - 1]):
        seen(engine, before, tokens=9)
        assert np.array_equal(seen(engine, prompt), expected)
    engine.prefill(ids[: length + 1])
    assert np.array_equal(seen(engine, prompt), expected)


def replies(model: Model, *, settle: bool, warm: bool) -> list[tuple[str, str]]:
    """The turns of a conversation; `warm`: others of the same start came before it."""
    options: dict[str, Any] = {"sampling": GREEDY, "max_tokens": 60}
    if warm:
        for question in reversed(QUESTIONS):
            model.chat(system=LONG).send(question, **options)
    chat = model.chat(system=LONG, settle=settle)
    ends: list[End] = []
    for at, question in enumerate(QUESTIONS):
        ends.append(chat.send(question, thinking=bool(at % 2), **options))
        if settle:
            chat.settle()
    return [(end.thought, end.answer) for end in ends]


def test_a_conversation_is_the_same_cold_warm_settled_and_not(model: Model) -> None:
    cold = replies(model, settle=False, warm=False)
    assert replies(model, settle=True, warm=True) == cold
    assert replies(model, settle=False, warm=True) == cold
    assert any(answer for _, answer in cold)
