"""A KV cache that outlives turns: starts taken from other conversations, work done ahead, copies put back."""

from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.engine.pace import Pace
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError

GREEDY = SamplingSettings(temperature=0)
START = list(range(100, 120))  # 20 tokens that conversations begin with
LARGE = 1 << 20


def run(engine, prompt, **options):
    return list(engine.generate(prompt, Sampler(GREEDY), **{"max_tokens": 3, **options}))


def reused(engine, prompt, **options):
    """How many of a prompt's tokens were not run."""
    reply = engine.generate(prompt, Sampler(GREEDY), **{"max_tokens": 3, **options})
    list(reply)
    return reply.reused


def held_rows(engine):
    """What the made-up lane itself holds."""
    return engine._uses.held.lane.rows[0] if engine._uses.held.lane else []


def kept_of(engine):
    """A snapshot of an engine that holds a sequence."""
    kept = engine.snapshot()
    assert kept
    return kept


class SlowSession:
    """A session whose steps wait for `go`, one `entered` at a time."""

    def __init__(self, session):
        self.session, self.entered, self.go = session, Event(), Event()
        inner = session.next_id

        def next_id(ids):
            self.entered.set()
            self.go.wait()
            return inner(ids)

        session.next_id = next_id


def in_thread(call):
    """The thread that runs `call`, and what it returned or raised once it is over."""
    results = []

    def run_it() -> None:
        try:
            results.append(call())
        except InputError as error:
            results.append(error)

    thread = Thread(target=run_it)
    thread.start()
    return thread, results


def test_another_conversation_takes_the_start_that_the_first_one_ran(new_session) -> None:
    session, prefixes = new_session(), PrefixCache(LARGE)
    first = Engine(session, prefixes)
    assert reused(first, [*START, 1, 2], shareable=len(START), max_tokens=1) == 0
    assert session.steps == [8, 8, 4, 2], "the start ends with a piece of its own"
    session.steps.clear()
    assert reused(Engine(session, prefixes), [*START, 3], max_tokens=1) == 20
    assert session.steps == [1]
    second = Engine(session, prefixes)
    assert run(second, [*START, 3], max_tokens=1) == run(Engine(new_session()), [*START, 3], max_tokens=1)


def test_a_start_serves_a_prompt_that_shares_a_part_of_it(new_session) -> None:
    prefixes = PrefixCache(LARGE)
    run(Engine(new_session(), prefixes), [*START, 1], shareable=20)
    other = Engine(new_session(), prefixes)
    assert reused(other, [*START[:17], 5, 6]) == 17


def test_a_prompt_that_is_a_stored_start_runs_its_last_token(new_session) -> None:
    session, prefixes = new_session(), PrefixCache(LARGE)
    said = run(Engine(session, prefixes), START, shareable=20)
    session.steps.clear()
    assert run(Engine(session, prefixes), START, shareable=20) == said
    assert session.steps[0] == 1
    assert reused(Engine(session, prefixes), START, shareable=20) == 19


@pytest.mark.parametrize(
    ("shareable", "limit", "options"),
    [(15, LARGE, {}), (0, LARGE, {}), (-3, LARGE, {}), (20, 0, {}), (24, LARGE, {"several_tokens_over_past": False})],
    ids=["too short", "nothing", "negative", "a prefix cache of 0", "a graph that runs a prompt in one step"],
)
def test_a_start_that_is_not_worth_it_is_neither_stored_nor_run_apart(new_session, shareable, limit, options) -> None:
    session, prefixes = new_session(**options), PrefixCache(limit)
    run(Engine(session, prefixes), [*START, 1, 2, 3, 4], shareable=shareable, max_tokens=1)
    assert prefixes.bytes == 0
    assert session.steps == ([8, 8, 8] if session.several_tokens_over_past else [24])


def test_a_start_that_the_cache_holds_already_is_not_run_apart_again(new_session) -> None:
    session, prefixes = new_session(), PrefixCache(LARGE)
    engine = Engine(session, prefixes)
    run(engine, [*START, 1], shareable=20)
    before = prefixes.bytes
    assert reused(engine, [*START, 2, 3], shareable=20) == 20
    assert prefixes.bytes == before


def test_a_start_that_is_stored_is_not_run_apart_where_the_lane_has_most_of_it(new_session) -> None:
    session, prefixes = new_session(), PrefixCache(LARGE)
    engine = Engine(session, prefixes)
    run(engine, [*START, 1], shareable=20)
    engine.prefill(START[:5])
    session.steps.clear()
    run(engine, [*START, 2], shareable=20, max_tokens=1)
    assert session.steps == [8, 8]


def test_what_the_lane_holds_is_kept_where_the_stored_start_is_hardly_longer(new_session) -> None:
    prefixes = PrefixCache(LARGE)
    run(Engine(new_session(), prefixes), [*START, 1], shareable=20)
    near, far = Engine(new_session(), prefixes), Engine(new_session(), prefixes)
    near.restore(START[:5], KvSnapshot(parts=(np.array(START[:5], np.float32)[None, None, :, None],) * 2))
    far.restore(START[:4], KvSnapshot(parts=(np.array(START[:4], np.float32)[None, None, :, None],) * 2))
    assert [reused(engine, [*START, 2]) for engine in (near, far)] == [5, 20]


def test_a_reply_that_is_not_read_touches_nothing(new_session) -> None:
    session, prefixes = new_session(), PrefixCache(LARGE)
    engine = Engine(session, prefixes)
    run(engine, [1, 2, 3])
    held = engine.ids
    session.steps.clear()
    engine.generate(START, Sampler(GREEDY), shareable=20)
    assert (engine.ids, session.steps, prefixes.bytes) == (held, [], 0)


def test_a_cancelled_start_is_not_stored(new_session) -> None:
    prefixes = PrefixCache(LARGE)
    engine = Engine(new_session(), prefixes)
    reply = engine.generate([*START, 1], Sampler(GREEDY), shareable=20)
    reply.cancel()
    list(reply)
    assert prefixes.bytes == 0


def test_a_prefilled_prompt_pays_for_its_rest_only(new_session) -> None:
    session = new_session()
    engine = Engine(session)
    assert engine.prefill(START)
    assert (engine.ids, session.steps) == (START, [8, 8, 4])
    session.steps.clear()
    reply = engine.generate([*START, 1], Sampler(GREEDY), max_tokens=3)
    assert list(reply) == run(Engine(new_session()), [*START, 1])
    assert (reply.reused, session.steps[0]) == (20, 1)


def test_a_prefill_forgets_what_it_does_not_share_and_runs_nothing_twice(new_session) -> None:
    session = new_session()
    engine = Engine(session)
    engine.prefill(START)
    session.steps.clear()
    assert engine.prefill([*START[:10], 1])
    assert engine.prefill(START[:10])
    assert (engine.ids, held_rows(engine), session.steps) == (START[:10], START[:10], [1])


def test_a_stopped_prefill_keeps_what_was_run(new_session) -> None:
    slow, stop = SlowSession(new_session()), Stop()
    engine = Engine(slow.session)
    thread, results = in_thread(lambda: engine.prefill(START, stop=stop))
    slow.entered.wait()
    stop.cancel()
    slow.go.set()
    thread.join()
    assert (results, engine.ids, held_rows(engine)) == ([False], START[:8], START[:8])
    assert not engine.prefill([1, 2], stop=stop), "stopped before it began"
    assert engine.ids == START[:8]


class Unmeasured(Pace):
    """Learns nothing: what a test expects must not depend on how fast this machine is."""

    def add(self, tokens: int, seconds: float, *, over_past: bool) -> None:
        pass


def test_a_prefill_of_few_tokens_goes_one_by_one_and_of_many_not_at_all_where_a_graph_cannot(new_session) -> None:
    session = new_session(several_tokens_over_past=False)
    engine = Engine(session, pace=Unmeasured())
    assert not engine.prefill(START)
    assert session.steps == []
    run(engine, START, max_tokens=1)
    session.steps.clear()
    assert engine.prefill([*START, *range(16)])
    assert not engine.prefill([*START[:10], *range(17)])
    assert (engine.ids, session.steps) == ([*START, *range(16)], [1] * 16)


def test_a_reply_ends_a_prefill_at_its_next_piece(new_session) -> None:
    slow = SlowSession(new_session())
    engine = Engine(slow.session)
    thread, results = in_thread(lambda: engine.prefill(START * 5))
    slow.entered.wait()
    reply = engine.generate([*START, 1], Sampler(GREEDY), max_tokens=3)
    slow.go.set()
    assert list(reply) == run(Engine(new_session()), [*START, 1])
    thread.join()
    assert (results, reply.reused) == ([False], 8)


def test_a_prefill_ends_a_reply(new_session) -> None:
    engine = Engine(new_session())
    reply = engine.generate(START, Sampler(GREEDY))
    next(reply)
    engine.prefill(START)
    with pytest.raises(InputError, match="end one reply first"):
        next(reply)


def test_a_token_of_logits_that_a_later_use_overwrote_is_not_given(new_session) -> None:
    engine = Engine(new_session())

    class Late(Sampler):
        def draw(self, logits):
            engine.prefill([1])
            return super().draw(logits)

    with pytest.raises(InputError, match="end one reply first"):
        next(engine.generate(START, Late(GREEDY)))


def test_closing_waits_for_the_step_in_progress_and_ends_a_prefill(new_session) -> None:
    slow = SlowSession(new_session())
    engine = Engine(slow.session)
    prefill, results = in_thread(lambda: engine.prefill(START))
    slow.entered.wait()
    close, _ = in_thread(engine.close)
    close.join(0.05)
    assert close.is_alive(), "a step is in progress"
    slow.go.set()
    close.join()
    prefill.join()
    assert slow.session.steps == [8]
    assert "the model is closed" in str(results[0])


@pytest.mark.parametrize(
    "use",
    [
        lambda engine: engine.prefill(START),
        lambda engine: run(engine, START),
        lambda engine: engine.snapshot(),
        lambda engine: engine.restore([1], KvSnapshot(parts=(np.zeros((1, 1, 1, 1)),))),
        lambda engine: engine.logits([[1]]),
    ],
)
def test_a_closed_engine_is_refused(new_session, use) -> None:
    engine = Engine(new_session())
    engine.prefill(START)
    reply = engine.generate(START, Sampler(GREEDY))
    engine.close()
    assert engine.ids == []
    for call in (lambda: use(engine), lambda: next(reply)):
        with pytest.raises(InputError, match="the model is closed"):
            call()


def test_a_snapshot_restores_what_was_held(new_session) -> None:
    session = new_session()
    engine = Engine(session)
    said = run(engine, START)
    ids, snapshot = kept_of(engine)
    assert ids == engine.ids == held_rows(engine)
    session.steps.clear()
    other = Engine(session)
    other.restore(ids, snapshot)
    reply = other.generate(START, Sampler(GREEDY), max_tokens=3)
    assert list(reply) == said
    assert (reply.reused, session.steps) == (19, [1, 1, 1])


def test_a_snapshot_leaves_a_reply_in_progress_as_it_is(new_session) -> None:
    engine = Engine(new_session())
    reply = engine.generate(START, Sampler(GREEDY), max_tokens=3)
    tokens = [next(reply)]
    assert kept_of(engine)[0] == START
    assert tokens + list(reply) == run(Engine(new_session()), START)


def test_an_engine_without_a_sequence_has_no_snapshot(new_session) -> None:
    engine = Engine(new_session())
    assert engine.snapshot() is None
    engine.logits([[1, 2], [3, 4]])
    assert engine.snapshot() is None


@pytest.mark.parametrize(
    ("ids", "says"), [([1, 2], "2 ids and a KV snapshot of 3 tokens"), ([1, 2, 999], "outside the vocabulary")]
)
def test_a_snapshot_of_other_ids_is_refused(new_session, ids, says) -> None:
    engine = Engine(new_session())
    engine.prefill([5, 6, 7])
    _, snapshot = kept_of(engine)
    with pytest.raises(InputError, match=says):
        engine.restore(ids, snapshot)
    assert engine.ids == [5, 6, 7]


PROMPTS = st.builds(
    lambda cut, tail, again: [*START[:cut], *tail] * again,
    st.integers(0, 20),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
    st.integers(1, 3),
)
USES = st.tuples(
    st.integers(0, 1),
    st.one_of(
        st.tuples(st.just("generate"), PROMPTS, st.integers(0, 40)),
        st.tuples(st.just("leave"), PROMPTS, st.integers(0, 40)),
        st.tuples(st.sampled_from(["prefill", "snapshot", "restore", "reset", "logits"]), PROMPTS, st.just(0)),
    ),
)


@given(st.lists(USES, max_size=12), st.integers(0, 1500), st.booleans())
def test_any_order_of_uses_over_shared_starts_gives_what_a_fresh_engine_gives(
    new_session, uses, limit, several
) -> None:
    session, prefixes = new_session(several_tokens_over_past=several), PrefixCache(limit)
    engines, kept = [Engine(session, prefixes) for _ in range(2)], None
    for which, (use, prompt, shareable) in uses:
        engine = engines[which]
        if use == "generate":
            fresh = Engine(new_session())
            assert run(engine, prompt, shareable=shareable) == run(fresh, prompt)
        elif use == "leave":
            next(engine.generate(prompt, Sampler(GREEDY), shareable=shareable))
        elif use == "prefill":
            done = engine.prefill(prompt)
            assert done == (engine.ids == prompt)
            assert done or not several
        elif use == "snapshot":
            kept = engine.snapshot() or kept
        elif use == "restore" and kept:
            engine.restore(*kept)
            assert engine.ids == kept[0]
        elif use == "logits":
            engine.reset()
            engine.logits([prompt, prompt])
        else:
            engine.reset()
        assert not engine.ids or engine.ids == held_rows(engine)
    assert prefixes.bytes <= limit
