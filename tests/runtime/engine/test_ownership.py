"""Who ends what: a reply is ended by its own stop, and a KV cache that is gone is never gone on from."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from thinkport.runtime import Engine, Finish, InputError, Sampler, SamplingSettings
from thinkport.runtime.engine.kv_uses import KvPool
from thinkport.runtime.prompt.prompt import Rendered
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.reply.reply_request import ReplyRequest

GREEDY = {"temperature": 0}
ONE = 256 * 8  # bytes that a made-up conversation of up to 256 tokens takes


def sampler():
    return Sampler(SamplingSettings(temperature=0))


def test_cancelling_a_superseded_reply_leaves_the_newer_one_alone(new_model) -> None:
    chat = new_model("hello there my friend " * 5).chat(settle=False)
    older = chat.stream("a", sampling=GREEDY)
    next(older)
    newer = chat.stream("b", sampling=GREEDY)
    next(newer)
    older.cancel()
    assert newer.end().answer_end is Finish.STOP


def test_a_reply_that_is_cancelled_before_its_first_token_stays_cancelled(new_model) -> None:
    reply = new_model("hello").chat(settle=False).stream("a", sampling=GREEDY)
    reply.cancel()
    assert (reply.end().answer_end, reply.end().answer) == (Finish.CANCELLED, "")


def test_a_chat_is_cancelled_while_its_reply_is_being_prepared(new_model) -> None:
    model = new_model("hello")
    chat, render = model.chat(settle=False), model.template.render

    def cancelled_meanwhile(*args, **options):
        canceller = Thread(target=chat.cancel)
        canceller.start()
        canceller.join()
        return render(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.template, "render", cancelled_meanwhile)
        reply = chat.stream("a", sampling=GREEDY)
    assert reply.end().answer_end is Finish.CANCELLED


def test_the_end_of_a_reply_may_be_asked_for_again_and_of_an_abandoned_one_is_an_input_error(new_model) -> None:
    chat = new_model("hello").chat(settle=False)
    reply = chat.stream("a", sampling=GREEDY)
    assert reply.end() is reply.end()
    for leave in ("abandon", "close"):
        left = chat.stream("b", sampling=GREEDY)
        next(left)
        getattr(left, leave)()
        with pytest.raises(InputError, match="abandoned or closed before its end"):
            left.end()


def test_logits_after_an_eviction_are_refused_until_the_engine_is_reset(new_session) -> None:
    session = new_session()
    memory = KvPool(ONE)
    first, second = Engine(session, memory=memory), Engine(session, memory=memory)
    prompt = list(range(10, 20))
    first.logits([prompt])
    second.logits([[1, 2, 3]])
    for _ in range(2):
        with pytest.raises(InputError, match="call reset"):
            first.logits([[5]])
    first.reset()
    expected = Engine(new_session()).logits([[*prompt, 5]])
    assert np.array_equal(first.logits([[*prompt, 5]]), expected)


def test_logits_over_a_cache_that_nobody_evicts_goes_on(new_session) -> None:
    session = new_session()
    memory = KvPool(2 * ONE)
    first, second = Engine(session, memory=memory), Engine(session, memory=memory)
    first.logits([[1, 2, 3]])
    second.logits([[4, 5]])
    assert np.array_equal(first.logits([[6]]), Engine(new_session()).logits([[1, 2, 3, 6]]))


def test_importing_onnx_runtime_leaves_the_embedders_environment_as_it_was() -> None:
    program = (
        "import os; before = dict(os.environ)\n"
        "from thinkport.runtime.providers.ort import import_onnxruntime\n"
        "import_onnxruntime()\n"
        "assert dict(os.environ) == before, set(os.environ) ^ set(before)\n"
    )
    bare = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", program], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_prompt_is_rendered_and_encoded_once_for_all_replies_to_it(new_model) -> None:
    model = new_model("hi " * 10)
    counts: Counter = Counter()
    render, between = ChatTemplate.render, Rendered.encode

    def counted_render(self, *args, **options):
        counts["renders"] += 1
        return render(self, *args, **options)

    def counted_encode(self, tokenizer, known=(), **span):
        counts["characters"] += (span.get("end") or len(self.text)) - span.get("start", 0)
        return between(self, tokenizer, known, **span)

    messages = [{"role": "system", "content": "You are"}, {"role": "user", "content": "x"}]
    request = ReplyRequest(messages=messages, sampling=GREEDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChatTemplate, "render", counted_render)
        patch.setattr(Rendered, "encode", counted_encode)
        prepared = model.replies.prepare(request)
        for _ in range(2):
            model.replies.begin(prepared, model.engine()).end()
        assert counts == {"renders": 1, "characters": len(model.tokenizer.decode(prepared.prompt.ids))}
        counts.clear()
        chat = model.chat(system="You are")
        chat.send("x", sampling=GREEDY)
        chat.settle()
        assert counts["renders"] == 3, "the prompt, and the history twice: after the turn, and when asked for"


class Uses(RuleBasedStateMachine):
    """Any order of uses of two engines that share the memory of one, ended in any way, from any thread.

    What an engine says is always what a fresh one says, or an `InputError`; nothing else is raised and nothing hangs.
    """

    new_session: Any = None  # the fixtures' class

    def __init__(self) -> None:
        super().__init__()
        assert Uses.new_session is not None
        self.session = Uses.new_session()
        self.memory = KvPool(ONE)
        self.engines = [Engine(self.session, memory=self.memory) for _ in range(2)]
        self.replies: list = []  # (engine's number, reply, prompt, ids so far)
        self.sequences: list = [None, None]  # what `logits` goes on from
        self.closed: list = [False, False]

    def expected(self, ids) -> int:
        return int(self.session.next_id(list(ids)) % self.session.vocab_size)

    @rule(which=st.integers(0, 1), prompt=st.lists(st.integers(0, 5), min_size=1, max_size=12))
    def begin(self, which, prompt) -> None:
        try:
            self.replies.append((which, self.engines[which].generate(prompt, sampler(), max_tokens=9), prompt, []))
        except InputError:
            assert self.closed[which]

    @precondition(lambda self: self.replies)
    @rule(pick=st.randoms(use_true_random=False))
    def read(self, pick) -> None:
        which, reply, prompt, ids = pick.choice(self.replies)
        with contextlib.suppress(InputError, StopIteration):
            token = next(reply)
            self.sequences[which] = None  # a cancelled reply has rewound the KV cache to its prompt too
            if token.id is not None:
                assert token.id == self.expected(prompt + ids)
                ids.append(token.id)

    @precondition(lambda self: self.replies)
    @rule(pick=st.randoms(use_true_random=False), elsewhere=st.booleans())
    def cancel(self, pick, elsewhere) -> None:
        _, reply, _, _ = pick.choice(self.replies)
        if elsewhere:
            thread = Thread(target=reply.cancel)
            thread.start()
            thread.join()
        else:
            reply.cancel()

    @precondition(lambda self: self.replies)
    @rule(pick=st.randoms(use_true_random=False))
    def close_reply(self, pick) -> None:
        entry = pick.choice(self.replies)
        entry[1].close()
        self.replies.remove(entry)

    @rule(which=st.integers(0, 1), ids=st.lists(st.integers(0, 5), min_size=1, max_size=6))
    def logits(self, which, ids) -> None:
        held = self.engines[which].ids or self.sequences[which] or []
        try:
            row = self.engines[which].logits([ids])[0, -1]
        except InputError:
            return
        assert int(row.argmax()) == self.expected([*held, *ids])
        self.sequences[which] = [*held, *ids]

    @rule(which=st.integers(0, 1), ids=st.lists(st.integers(0, 5), min_size=1, max_size=12))
    def prefill(self, which, ids) -> None:
        try:
            if self.engines[which].prefill(ids):
                assert self.engines[which].ids == ids
                self.sequences[which] = None
        except InputError:
            assert self.closed[which]

    @rule(which=st.integers(0, 1))
    def reset(self, which) -> None:
        self.engines[which].reset()
        self.sequences[which] = None

    @precondition(lambda self: not any(self.closed))
    @rule(which=st.integers(0, 1))
    def close(self, which) -> None:
        self.engines[which].close()
        self.closed[which], self.sequences[which] = True, None

    @rule(which=st.integers(0, 1))
    def reload(self, which) -> None:
        self.engines[which]._uses.reload(self.session)
        self.closed[which], self.sequences[which] = False, None

    @invariant()
    def memory_is_within_its_limit(self) -> None:
        assert self.memory.bytes <= ONE


@pytest.fixture
def machine(new_session):
    Uses.new_session = new_session
    return Uses.TestCase


def test_any_order_of_uses_gives_what_a_fresh_engine_gives(machine) -> None:
    machine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
    machine("runTest").runTest()


def talk(engine: Engine, next_id, base: int, wrong: list) -> None:
    """Prompts over an engine that others use too; each token that comes has to be the model's own."""
    for turn in range(40):
        ids: list = [base, turn % 7, 3]
        try:
            for token in engine.generate(list(ids), sampler(), max_tokens=4):
                if token.id != next_id(ids) % engine.session.vocab_size:
                    wrong.append((ids, token))
                ids.append(token.id)
        except InputError:
            pass
        except Exception as error:
            wrong.append(error)


def test_uses_in_threads_end_each_other_and_never_mix(new_session) -> None:
    """Two threads over one engine, a third that takes its memory, and a fourth that prefills it all the time."""
    session, over = new_session(), Event()
    memory = KvPool(ONE)
    shared, other = Engine(session, memory=memory), Engine(session, memory=memory)
    wrong: list = []

    def prefill() -> None:
        while not over.is_set():
            with contextlib.suppress(InputError):
                shared.prefill([1, 2, 3, 4])

    uses = ((shared, 1), (shared, 2), (other, 3))
    threads = [Thread(target=talk, args=(engine, session.next_id, base, wrong)) for engine, base in uses]
    ahead = Thread(target=prefill)
    for thread in [*threads, ahead]:
        thread.start()
    for thread in threads:
        thread.join(60)
    over.set()
    ahead.join(60)
    assert not wrong
    assert not any(thread.is_alive() for thread in [*threads, ahead])
