"""A turn in the background: events reach callbacks and event loops, and any thread may end it."""

import asyncio
from contextlib import aclosing
from threading import Event, Thread, current_thread

import pytest

from thinkport.runtime import AnswerPiece, End, Finish, InputError, ThinkingEnd, ThoughtPiece, Turn

LONG = "<think>\nwe think and think</think>\n\n" + "word " * 40
GREEDY = {"temperature": 0}


class Gate:
    """Holds a made-up model's steps that are `held`, by the ids so far, until `go` is set; tells that one `entered`."""

    def __init__(self, model, held=lambda ids: True):
        self.entered, self.go = Event(), Event()
        self.steps = 0
        inner = model.session.next_id

        def next_id(ids):
            self.steps += 1
            if held(ids):
                self.entered.set()
                assert self.go.wait(120)
            return inner(ids)

        model.session.next_id = next_id


def texts(events, kind):
    return "".join(event.text for event in events if isinstance(event, kind))


def test_events_come_in_the_turns_own_thread_and_the_end_is_the_result(new_model) -> None:
    seen, threads = [], set()
    over: list[Turn] = []
    chat = new_model(LONG).chat(settle=False)

    def on_event(event) -> None:
        seen.append(event)
        threads.add(current_thread())

    turn = chat.start("hi", on_event=on_event, on_done=over.append, sampling=GREEDY)
    end = turn.result(120)
    assert (texts(seen, ThoughtPiece), texts(seen, AnswerPiece)) == (end.thought, end.answer)
    assert seen[-1] is end
    assert threads.isdisjoint({current_thread()})
    turn._thread.join()
    assert (over, turn.done, turn.error, len(chat.messages)) == ([turn], True, None, 2)


def test_a_started_turn_may_be_told_to_stop_thinking_or_to_end_before_it_has_begun(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model)
    turn = chat.start("hi", sampling=GREEDY)
    chat.stop_thinking()
    gate.go.set()
    end = turn.result(120)
    assert (end.thinking_end, end.answer_end) == (ThinkingEnd.USER, Finish.STOP)
    gate.go.clear()
    turn = chat.start("hi", sampling=GREEDY)
    chat.cancel()
    gate.go.set()
    assert turn.result(120).answer_end is Finish.CANCELLED


def test_any_thread_ends_a_turn_within_a_token(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate, fifth = Gate(chat._model), Event()
    gate.go.set()
    seen = []

    def on_event(event) -> None:
        seen.append(event)
        if len(seen) == 5:
            gate.go.clear()
            fifth.set()

    turn = chat.start("hi", on_event=on_event, sampling=GREEDY)
    assert fifth.wait(120)
    canceller = Thread(target=turn.cancel)
    canceller.start()
    canceller.join()
    gate.go.set()
    assert turn.result(120).answer_end is Finish.CANCELLED
    assert len(seen) <= 8  # the step in progress, what was held back of the text, and the end
    assert chat.messages[-1]["role"] == "assistant"


def test_an_abandoned_turn_leaves_the_history_as_it_was(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model)
    turn = chat.start("hi", sampling=GREEDY)
    assert gate.entered.wait(120)
    turn.abandon()
    gate.go.set()
    with pytest.raises(InputError, match="abandoned"):
        turn.result(120)
    assert (chat.messages, turn.error) == ([], None)
    assert chat.start("hi", sampling=GREEDY).result(120).answer == LONG.split("\n\n")[1]


def test_a_turn_can_be_awaited_for_so_long_only(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model)
    turn = chat.start("hi", sampling=GREEDY)
    with pytest.raises(TimeoutError, match="wait longer"):
        turn.result(0.01)
    gate.go.set()
    assert isinstance(turn.result(120), End)


def test_a_second_turn_is_refused_while_a_started_one_goes_on(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model)
    turn = chat.start("hi", sampling=GREEDY)
    with pytest.raises(InputError, match="goes on: wait for it, cancel it"):
        chat.start("on")
    gate.go.set()
    turn.result(120)
    chat.start("on", sampling=GREEDY).result(120)


def test_what_a_reply_or_a_callback_raises_is_the_turns_error(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    with pytest.raises(InputError, match="max_tokens is 0"):
        chat.start("hi", max_tokens=0).result(120)

    def on_event(event) -> None:
        raise ValueError("the window is gone")

    turn = chat.start("hi", on_event=on_event, sampling=GREEDY)
    with pytest.raises(ValueError, match="the window is gone"):
        turn.result(120)
    assert chat.messages == []


def test_a_wrong_option_is_refused_on_the_call(new_model) -> None:
    with pytest.raises(TypeError, match="no option 'temperature'"):
        new_model("hi").chat().start("hi", temperature=1)


def test_any_reply_can_be_a_turn(new_model) -> None:
    model = new_model("one two")
    assert Turn(lambda stop: model.stream("hi", sampling=GREEDY, stop=stop)).result(120).answer == "one two"


def test_a_started_turn_goes_on_though_nobody_holds_it_or_its_chat(new_model) -> None:
    over = Event()
    new_model(LONG).chat(settle=False).start("hi", on_done=lambda turn: over.set(), sampling=GREEDY)
    assert over.wait(120)


def test_asyncio_reads_a_turn_while_the_loop_goes_on(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model)

    async def main():
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while beats < 20:
                await asyncio.sleep(0.001)
                beats += 1
            gate.go.set()

        beating = asyncio.create_task(beat())
        events = [event async for event in chat.astream("hi", sampling=GREEDY)]
        await beating
        return events, beats

    events, beats = asyncio.run(main())
    assert beats == 20  # all of them during the first step
    assert isinstance(events[-1], End)
    assert texts(events, AnswerPiece) == events[-1].answer


def test_cancelling_the_task_ends_the_reply_within_a_step_and_frees_the_chat(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model)

    async def read():
        return [event async for event in chat.astream("hi", sampling=GREEDY)]

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.to_thread(gate.entered.wait, 120)
        steps = gate.steps
        task.cancel()
        await asyncio.sleep(0)
        gate.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (turn := chat._turn()) is None or turn.done
        assert gate.steps <= steps + 8  # the piece of the prompt that was being run

    asyncio.run(main())
    assert chat.messages == []
    assert chat.send("hi", sampling=GREEDY).answer_end is Finish.STOP


def test_a_loop_that_is_left_early_lets_go(new_model, thinking_ids) -> None:
    chat = new_model(LONG).chat(settle=False)
    gate = Gate(chat._model, held=lambda ids: ids[-1] == thinking_ids.end)  # the reply can't end before it is left

    async def main() -> None:
        async with aclosing(chat.astream("hi", sampling=GREEDY)) as events:
            async for _ in events:
                asyncio.get_running_loop().call_soon(gate.go.set)  # once the loop goes on, which is after the leaving
                break
        assert (turn := chat._turn()) is None or turn.done

    asyncio.run(main())
    assert chat.messages == []


def test_asyncio_raises_what_the_reply_ended_with(new_model) -> None:
    chat = new_model(LONG).chat(settle=False)

    async def main():
        return [event async for event in chat.astream("hi", max_tokens=0)]

    with pytest.raises(InputError, match="max_tokens is 0"):
        asyncio.run(main())


def test_a_panic_of_a_native_library_ends_a_turn_and_is_told(new_model) -> None:
    """PyO3 raises panics as a BaseException of its own, which passes `except Exception`."""

    class PanicError(BaseException):
        pass

    def on_event(event) -> None:
        raise PanicError

    over: list[Turn] = []
    turn = new_model("one").chat(settle=False).start("hi", on_event=on_event, on_done=over.append, sampling=GREEDY)
    assert turn.wait(120)
    turn._thread.join(120)
    assert over == [turn]
    with pytest.raises(PanicError):
        turn.result(0)
