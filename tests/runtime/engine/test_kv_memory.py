"""What the KV caches of a model's chats may take together: idle ones make room, replies in progress do not."""

from threading import Barrier, Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime import AnswerPiece, Finish, InputError, Model
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.kv_cache import KvSize
from thinkport.runtime.engine.kv_uses import KvPool
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings

GREEDY = {"temperature": 0}
STEP = 256 * 8  # bytes that a made-up conversation of up to 256 tokens takes
TWO = 2 * STEP


def size_of(session) -> int:
    return session.kv_size.bytes(1)


def run(engine, prompt, **options):
    return list(engine.generate(prompt, Sampler(SamplingSettings(temperature=0)), **{"max_tokens": 3, **options}))


def engines(session, memory, count):
    return [Engine(session, memory=memory) for _ in range(count)]


def test_the_longest_unused_idle_cache_makes_room(new_session) -> None:
    memory = KvPool(TWO)
    first, second, third = engines(new_session(), memory, 3)
    run(first, [1, 2, 3])
    run(second, [4, 5, 6])
    run(first, [1, 2, 3, 4])
    run(third, [7, 8, 9])
    assert (bool(first.ids), bool(second.ids), bool(third.ids)) == (True, False, True)
    assert memory.bytes == TWO


def test_a_dropped_cache_is_computed_again_and_gives_the_same_reply(new_session) -> None:
    memory = KvPool(STEP)
    first, second = engines(new_session(), memory, 2)
    expected = run(Engine(new_session()), [1, 2, 3, 4])
    run(first, [1, 2, 3])
    run(second, [4, 5, 6])
    reply = first.generate([1, 2, 3, 4], Sampler(SamplingSettings(temperature=0)), max_tokens=3)
    assert list(reply) == expected
    assert reply.reused == 0


def test_a_reply_in_progress_keeps_its_cache_and_others_are_told(new_session) -> None:
    memory = KvPool(STEP)
    first, second = engines(new_session(), memory, 2)
    reply = first.generate([1, 2, 3], Sampler(SamplingSettings(temperature=0)), max_tokens=3)
    came = [next(reply)]
    with pytest.raises(InputError, match="wait until one of them ends, or load the model with a higher memory_limit"):
        run(second, [4, 5, 6])
    assert came + list(reply) == run(Engine(new_session()), [1, 2, 3])
    assert len(run(second, [4, 5, 6])) == 3


def test_a_reply_that_is_closed_or_collected_makes_room(new_session) -> None:
    memory = KvPool(STEP)
    first, second = engines(new_session(), memory, 2)
    reply = first.generate([1, 2, 3], Sampler(SamplingSettings(temperature=0)))
    next(reply)
    del reply
    assert len(run(second, [4, 5, 6])) == 3
    del second
    assert memory.bytes == 0


def test_a_reply_that_is_begun_and_not_yet_read_survives_that_its_cache_is_dropped(new_session) -> None:
    memory = KvPool(STEP)
    first, second = engines(new_session(), memory, 2)
    run(first, [1, 2])
    begun = first.generate([1, 2, 3], Sampler(SamplingSettings(temperature=0)), max_tokens=3)
    run(second, [4, 5, 6])
    assert not first.ids
    assert list(begun) == run(Engine(new_session()), [1, 2, 3])


def test_work_done_ahead_takes_no_memory_from_others_and_ends_where_they_need_it(new_session) -> None:
    memory = KvPool(STEP)
    first, second = engines(new_session(), memory, 2)
    run(first, [1, 2])
    assert not second.prefill([4, 5, 6])
    assert first.ids
    first.reset()
    assert second.prefill([4, 5, 6])
    run(first, [1, 2])
    assert not second.ids


def test_a_prompt_that_cannot_fit_alone_is_refused_on_the_call(new_session) -> None:
    engine = Engine(new_session(), memory=KvPool(STEP))
    with pytest.raises(InputError, match="300 tokens, and the KV cache of 256 at most fits into the memory limit"):
        run(engine, [1] * 300)


def test_a_reply_ends_where_the_limit_is_as_it_does_where_the_context_is(new_session) -> None:
    engine = Engine(new_session(), memory=KvPool(STEP))
    tokens = run(engine, [1] * 250, max_tokens=None)
    assert (len(tokens), tokens[-1].finish) == (6, Finish.CONTEXT)


def test_a_limit_that_holds_no_conversation_is_refused(new_model) -> None:
    with pytest.raises(InputError, match="memory_limit is 100 bytes, expected at least"):
        new_model("hi", memory_limit=100)


@given(tokens=st.integers(0, 5000), in_place=st.booleans(), token=st.integers(1, 1000))
def test_as_many_tokens_fit_as_the_bytes_of_them_say(tokens: int, in_place: bool, token: int) -> None:
    size = KvSize(token=token, in_place=in_place, context=4096)
    held = size.tokens(tokens * token)
    assert held == 0 or size.bytes(held) <= tokens * token
    assert held == 4096 or size.bytes(held + 1) > tokens * token


def test_a_model_tells_what_its_conversations_take_and_frees_it(new_model) -> None:
    model = new_model("hi there", memory_limit=8 * STEP, prefix_cache_bytes=1 << 20)
    chats = [model.chat(settle=False) for _ in range(3)]
    for chat in chats:
        chat.send("hi", sampling=GREEDY)
    assert (model.memory.kv, model.memory.limit) == (3 * STEP, 8 * STEP)
    assert model.memory.kv + model.memory.shared <= 8 * STEP
    model.unload()
    assert (model.memory.kv, model.memory.shared) == (0, 0)


def test_more_chats_than_fit_go_on_from_many_threads(new_model) -> None:
    model: Model = new_model("one two three four", memory_limit=3 * STEP, prefix_cache_bytes=0)
    together, most = Barrier(2), []
    failures: list[object] = []

    def talk(chats) -> None:
        together.wait()
        for _ in range(5):
            for chat in chats:
                try:
                    if chat.send("hi", sampling=GREEDY).answer != "one two three four":
                        failures.append("another answer")
                except Exception as error:
                    failures.append(error)
                most.append(model.memory.kv)

    threads = [Thread(target=talk, args=([model.chat() for _ in range(4)],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert max(most) <= 3 * STEP


def test_unloading_ends_replies_and_keeps_what_chats_have_said(new_model) -> None:
    model = new_model("one", "two")
    chat, gone = model.chat(settle=False), Event()
    chat.send("hi", sampling=GREEDY)
    begun = model.chat().stream("hi", sampling=GREEDY)
    assert isinstance(next(begun), AnswerPiece)
    model.unload()
    gone.set()
    assert not model.loaded
    for use in (lambda: next(begun), lambda: chat.send("hi"), model.chat, lambda: model.generate("hi")):
        with pytest.raises(InputError, match="unloaded: call its reload"):
            use()
    model.reload()
    model.reload()
    assert chat.send("on", sampling=GREEDY).answer == "two"
    assert [message["content"] for message in chat.messages] == ["hi", "one", "on", "two"]


def test_a_closed_model_is_neither_unloaded_nor_reloaded(new_model) -> None:
    model = new_model("one")
    model.unload()
    model.unload()
    model.close()
    for use in (model.unload, model.reload, model.chat):
        with pytest.raises(InputError, match="closed"):
            use()
