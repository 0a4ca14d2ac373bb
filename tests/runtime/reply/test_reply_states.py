"""The states of a thought and an answer, whatever a model draws and whoever stops it, at any step, from any thread."""

from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkport.runtime import (
    Choice,
    End,
    Event,
    Finish,
    InputError,
    Switch,
    Thinking,
    ThinkingEnd,
    ThoughtEnd,
    ThoughtPiece,
)
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.reply.reply_request import ReplyRequest

MESSAGE = "Enough.\n"
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
YES_OR_NO = ("yes", "no")
LIGHT = {"name": "l", "parameters": {"type": "object", "additionalProperties": False}}
FORMS: dict[str, dict[str, Any]] = {
    "free": {},
    "format": {"response_format": Choice(YES_OR_NO)},
    "tools": {"tools": [LIGHT]},
    "a call": {"tools": [LIGHT], "tool_choice": "required"},
    "format or calls": {"tools": [LIGHT], "response_format": Choice(YES_OR_NO)},
}
ANSWERS = {"format": YES_OR_NO, "a call": ("",), "format or calls": ("", *YES_OR_NO)}  # "" is of calls
CUT = {ThinkingEnd.LENGTH, ThinkingEnd.CONTEXT, ThinkingEnd.CANCELLED, ThinkingEnd.NONE}


@pytest.fixture(scope="module")
def models(new_model):
    """A model with a switch, and one whose prompt opens a thought."""
    return new_model(), new_model(template=ChatTemplate(TURNS + "<think>\n\n", {}))


def drawing(model, seed: int, at_step) -> None:
    """Have a model like markers, tags, newlines and stops; it tells `at_step` of each token that it computes."""
    added = model.tokenizer.added
    marks = [added[text] for text in ("<think>", "</think>", "<tool_call>", "</tool_call>")]
    ids = [*marks, *model.manifest.stop_ids, *model.tokenizer.encode("\n"), *range(60, 80)]

    def next_id(held: list[int]) -> int:
        at_step()
        return ids[hash((seed, *held)) % len(ids)]

    model.session.next_id = next_id


class Wishes:
    """Asks a stop for something at some steps, each time in a thread of its own."""

    def __init__(self, wishes: dict[int, str], stop: Stop):
        self.threads: list[Thread] = []
        self._wishes, self._stop, self._step = wishes, stop, 0

    def ask(self) -> None:
        wish, self._step = self._wishes.get(self._step), self._step + 1
        if wish is not None:
            self.threads.append(Thread(target=getattr(self._stop, wish)))
            self.threads[-1].start()
            if self._step % 2:
                self.threads[-1].join()  # the others race with the reply

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


@given(
    seed=st.integers(0, 1 << 20),
    opened=st.booleans(),
    form=st.sampled_from(sorted(FORMS)),
    switch=st.sampled_from(Switch),
    budget=st.none() | st.integers(0, 20),
    reserve=st.integers(1, 40),
    max_tokens=st.integers(1, 60) | st.integers(100, 200),
    said=st.sampled_from(["hi", "hi /think", "hi /no_think"]),
    drafts=st.booleans(),
    wishes=st.dictionaries(st.integers(0, 80), st.sampled_from(["stop_thinking", "cancel", "abandon"]), max_size=3),
)
@settings(max_examples=400)
def test_a_reply_has_one_thought_at_its_start_that_ends_in_time_and_for_one_reason(
    models, seed, opened, form, switch, budget, reserve, max_tokens, said, drafts, wishes
) -> None:
    model, stop, seen = models[opened], Stop(), []
    thinking = Thinking(
        enabled=Switch.ON if opened else switch, budget=budget, answer_reserve=reserve, message=MESSAGE, soft_from=0.5
    )
    messages = [{"role": "user", "content": said}]
    request = ReplyRequest(messages=messages, call=thinking, max_tokens=max_tokens, seed=seed, **FORMS[form])
    prepared, engine, asking = (
        model.replies.prepare(replace(request, drafts=drafts)),
        model.engine(),
        Wishes(wishes, stop),
    )
    reply = model.replies.begin(prepared, engine, stop=stop)

    def at_step() -> None:
        asking.ask()
        seen.append(reply.thinking_end)

    drawing(model, seed, at_step)
    events = list(reply)
    asking.join()
    written = engine.ids[len(prepared.prompt.ids) :]
    assert len(written) <= max_tokens
    assert_one_thought(model, written, opened=opened, budget=budget)
    ends = [*seen, reply.thinking_end]
    decided = {end for end in ends if end is not None}
    assert len(decided) <= 1, "decided once"
    assert [end is not None for end in ends] == sorted(end is not None for end in ends), "and never taken back"
    if not events or not isinstance(end := events[-1], End):
        assert stop.abandoned
        with pytest.raises(InputError, match="abandoned"):
            reply.end()
        return
    assert end.thinking_end in (decided or CUT)
    assert_the_thoughts_end_is_told(events, end)
    if end.answer_end is Finish.STOP:
        assert_keeps_to(form, end)


def assert_the_thoughts_end_is_told(events: list[Event], end: End) -> None:
    """Once, between the last piece of the thought and the first of the answer, with the end's own figures."""
    told = [event for event in events if isinstance(event, ThoughtEnd)]
    expected = [] if end.thinking_end in (ThinkingEnd.OFF, ThinkingEnd.NONE) else [end.thinking_end]
    assert [one.reason for one in told] == expected
    assert all(one.thinking == end.thinking for one in told)
    kinds = ["thought" if isinstance(one, ThoughtPiece) else "end" if one in told else "rest" for one in events]
    assert kinds == sorted(kinds, key=["thought", "end", "rest"].index)


def assert_keeps_to(form: str, end: End) -> None:
    """A whole answer is what its form says, and its calls are sound."""
    assert not any(call.problem for call in end.tool_calls)
    if form in ANSWERS:
        assert end.answer in ANSWERS[form]
        assert bool(end.tool_calls) is (end.answer == "")


def assert_one_thought(model, written: list[int], *, opened: bool, budget: int | None) -> None:
    """A reply has one thought or none; the thought stands at its start and keeps to its budget."""
    start, close = model.manifest.thinking.start, model.manifest.thinking.end
    thinks = opened or written[:1] == [start]
    assert written.count(start) == (thinks and not opened)
    assert written.count(close) <= thinks
    if thinks and budget is not None:
        inside = written[: written.index(close)] if close in written else written
        assert len(inside) - (not opened) <= budget + len(model.tokenizer.encode(MESSAGE)) + 1
