"""Turns, rewinds and edits on the trained model in fp32: whatever was done, the logits are those of a cold run."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkport.runtime import Chat, Engine, Model, Sampler, SamplingSettings, Thinking

TOLERANCE = 2e-3  # fp32 logits after a few layers, whose sums depend on how a prompt is cut into pieces
QUESTIONS = ["What is 12+30?", "What is 7*8?", "How many A are in BANANA?", "12345+54321 ="]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


@pytest.fixture(scope="module", params=["nano_fp32_artifact", "nano_unfused_artifact"])
def exact(request):
    with Model.load(request.getfixturevalue(request.param), prefix_cache_bytes=1 << 22) as loaded:
        yield loaded


class Recorder(Sampler):
    """Keeps the first logits that it draws from."""

    def __init__(self):
        super().__init__(SamplingSettings(temperature=0))
        self.seen = []

    def draw(self, logits):
        self.seen.append(logits.copy())
        return super().draw(logits)


def logits_after(engine, prompt: list[int]) -> np.ndarray:
    recorder = Recorder()
    list(engine.generate(prompt, recorder, max_tokens=2))
    return np.array(recorder.seen)


def say(draw, chat: Chat) -> None:
    thinking = draw(st.sampled_from([None, True, False, Thinking(enabled=True, budget=5), Thinking(budget=0)]))
    chat.send(draw(st.sampled_from(QUESTIONS)), thinking=thinking, max_tokens=40, seed=draw(st.integers(0, 9)))


def say_softly(draw, chat: Chat) -> None:
    text = draw(st.sampled_from(QUESTIONS)) + draw(st.sampled_from([" /think", " /no_think"]))
    chat.send(text, max_tokens=40, seed=draw(st.integers(0, 9)))


def cancel(draw, chat: Chat) -> None:
    reply = chat.stream(draw(st.sampled_from(QUESTIONS)), seed=1)
    for _ in range(draw(st.integers(1, 6))):
        next(reply, None)
    reply.cancel()
    list(reply)


def drop(draw, chat: Chat) -> None:
    reply = chat.stream(draw(st.sampled_from(QUESTIONS)), seed=1)
    next(reply)
    reply.close()


def edit(draw, chat: Chat) -> None:
    said = [message for message in chat.messages if message["role"] in ("user", "assistant")]
    if said:
        draw(st.sampled_from(said))["content"] = draw(st.sampled_from(["4902", "What is 1+1?", "é 🙂"]))


def call_a_tool(draw, chat: Chat) -> None:
    """A turn as if the model had called a tool; it was never taught to."""
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    chat.messages += [
        {"role": "user", "content": draw(st.sampled_from(QUESTIONS))},
        {"role": "assistant", "content": "", "reasoning_content": "1+1=2", "tool_calls": [call]},
    ]
    chat.stream_results(["2"], max_tokens=20, seed=1).end()


ACTIONS = {
    "say": say,
    "say softly": say_softly,
    "cancel": cancel,
    "drop": drop,
    "edit": edit,
    "tool": call_a_tool,
    "retry": lambda draw, chat: chat.messages and chat.messages[-1]["role"] != "system" and chat.retry(seed=3).end(),
    "undo": lambda draw, chat: chat.undo(),
    "settle": lambda draw, chat: chat.settle(),
    "system": lambda draw, chat: setattr(chat, "system", draw(st.sampled_from([None, "Be brief."]))),
}


@given(st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_after_any_turns_rewinds_and_edits_the_logits_are_those_of_a_cold_run(exact, data) -> None:
    chat = exact.chat(system="Answer with a number.", tools=data.draw(st.sampled_from([None, TOOLS])))
    for _ in range(data.draw(st.integers(1, 6))):
        ACTIONS[data.draw(st.sampled_from(sorted(ACTIONS)))](data.draw, chat)
    if data.draw(st.booleans()):
        chat.settle()
    chat._settler.stop()
    prompt = exact.encode([*chat.messages, {"role": "user", "content": "What is 3+4?"}], chat.tools, True)
    warm = logits_after(chat._engine, prompt)
    cold = logits_after(Engine(exact.session), prompt)
    assert np.abs(warm - cold).max() < TOLERANCE


def test_a_restored_conversation_goes_on_as_the_saved_one(exact, tmp_path) -> None:
    chat = exact.chat(thinking=True)
    chat.send(QUESTIONS[0], seed=1)
    chat.settle()
    chat.save(tmp_path / "kept")
    again = exact.restore(tmp_path / "kept")
    ours, theirs = (each.send(QUESTIONS[1], seed=2) for each in (again, chat))
    assert (ours.thought, ours.answer, ours.cached_tokens) == (theirs.thought, theirs.answer, theirs.cached_tokens)
    assert ours.cached_tokens == len(exact.history(chat.messages[:2], None, True))


def test_a_second_turn_after_a_thought_runs_what_was_said_and_nothing_else(exact) -> None:
    chat = exact.chat(thinking=True)
    first = chat.send(QUESTIONS[0], seed=1)
    chat.settle()
    second = chat.send(QUESTIONS[1], seed=1)
    asked = exact.tokenizer.encode(f"{QUESTIONS[1]}<|im_end|>\n<|im_start|>assistant\n")
    assert first.thought_tokens > 20
    assert second.prefill.tokens == len(asked)
