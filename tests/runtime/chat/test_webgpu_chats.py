"""Chats on the WebGPU plugin itself, on an adapter: two at once, cancelled in a step, rewound, edited, reloaded.

Whatever was done, the logits are those of a cold run there, and replies are those of the CPU's graph, float32 on both.
"""

from __future__ import annotations

import warnings
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import pytest

from thinkport.runtime import End, Engine, Model, Sampler, SamplingSettings
from thinkport.runtime.errors import ProviderWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from thinkport.runtime import Chat
    from thinkport.runtime.machine.plugin_device import PluginDevice

TOLERANCE = 2e-3  # of float32 logits, whose sums depend on how a prompt is cut into pieces
GREEDY = {"temperature": 0.0}
TOKENS = 8


@pytest.fixture(scope="module")
def model(nano_webgpu_artifact: Path, webgpu: PluginDevice) -> Iterator[Model]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ProviderWarning)  # a software adapter is one
        loaded = Model.load(nano_webgpu_artifact, provider="webgpu")
    with loaded:
        yield loaded


class Recorder(Sampler):
    """Keeps the logits that it draws from."""

    def __init__(self) -> None:
        super().__init__(SamplingSettings(temperature=0))
        self.seen: list[np.ndarray] = []

    def draw(self, logits: np.ndarray) -> int:
        self.seen.append(logits.copy())
        return super().draw(logits)


def logits_after(engine: Engine, prompt: list[int]) -> np.ndarray:
    recorder = Recorder()
    list(engine.generate(prompt, recorder, max_tokens=2))
    return np.array(recorder.seen)


def check_as_cold(model: Model, chat: Chat) -> None:
    """The next turn's logits are those of an engine that knows nothing of the chat."""
    chat._settler.stop()
    prompt = model.encode([*chat.messages, {"role": "user", "content": "What is 3+4?"}], chat.tools, False)
    warm, cold = logits_after(chat._engine, prompt), logits_after(Engine(model.session), prompt)
    np.testing.assert_allclose(warm, cold, rtol=0, atol=TOLERANCE)


def send(chat: Chat, text: str) -> str:
    return chat.send(text, thinking=False, max_tokens=TOKENS, sampling=GREEDY).answer


def test_two_chats_take_turns_and_say_what_the_cpu_says(model: Model, nano_webgpu_artifact: Path) -> None:
    asked = [["What is 12+30?", "What is 7*8?"], ["How many A are in BANANA?", "12345+54321 ="]]

    def talk(loaded: Model) -> list[list[str]]:
        chats = [loaded.chat(), loaded.chat()]
        said: list[list[str]] = [[], []]
        for turn in range(2):
            for at, chat in enumerate(chats):
                said[at].append(send(chat, asked[at][turn]))
        return said

    with Model.load(nano_webgpu_artifact, provider="cpu") as other:
        assert talk(model) == talk(other)


def test_two_chats_at_once_say_what_each_says_alone(model: Model) -> None:
    asked, said = ["What is 12+30?", "How many A are in BANANA?"], dict[str, str]()

    def ask(text: str) -> None:
        said[text] = send(model.chat(), text)

    alone = [send(model.chat(), text) for text in asked]
    threads = [Thread(target=ask, args=[text]) for text in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [said[text] for text in asked] == alone


def test_a_chat_that_was_cancelled_rewound_and_edited_goes_on_as_a_cold_one(model: Model) -> None:
    chat = model.chat(system="Answer with a number.")
    first = send(chat, "What is 12+30?")
    reply = chat.stream("What is 7*8?", thinking=False, sampling=GREEDY)
    next(reply)
    stopper = Thread(target=reply.cancel)  # while the next step may be in progress
    stopper.start()
    events = list(reply)
    stopper.join()
    assert isinstance(events[-1], End)
    check_as_cold(model, chat)
    chat.undo()
    assert chat.messages[-1]["content"] == first
    chat.retry(thinking=False, max_tokens=TOKENS, sampling=GREEDY).end()
    assert chat.messages[-1]["content"] == first
    chat.messages[-2]["content"] = "What is 2+2?"
    check_as_cold(model, chat)


def test_a_chat_goes_on_after_its_model_was_unloaded(model: Model) -> None:
    chat = model.chat()
    send(chat, "What is 12+30?")
    model.unload()
    model.reload()
    again = model.chat()
    again.messages = [dict(message) for message in chat.messages]
    assert send(chat, "What is 7*8?") == send(again, "What is 7*8?")
    chosen = model.provider_report.chosen
    assert chosen
    assert chosen.provider == "WebGpuExecutionProvider"
