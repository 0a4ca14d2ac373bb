"""An answer is fed to the KV cache as the next turn needs it while it is written: the next turn begins at once."""

import pytest

from thinkport.runtime.engine.next_start import PIECE
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.reply.reply_request import ReplyRequest
from thinkport.runtime.server.reply_plan import ReplyPlan
from thinkport.runtime.thinking.thinking import Thinking

GREEDY = SamplingSettings(temperature=0)
EMPTY = "<think>\n\n</think>\n\n"  # stands in the prompt where thinking is off
LONG = "".join(f"{number} is a number, " for number in range(60))
KEEPING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


def at_once(model, chat, text: str):
    """The end of a turn that is sent before the idle time after the last one was used, and what was new in it."""
    chat._settler.stop()
    chat._settle = lambda *_: None
    prompt = model.encode([*chat.messages, {"role": "user", "content": text}], chat.tools, False)
    new = len(prompt) - len(model.history(chat.messages))
    return chat.send(text), new


@pytest.fixture
def unsettled(new_model, monkeypatch):
    """A model whose chats never get an idle moment, and a chat of it."""
    model = new_model(EMPTY + LONG, EMPTY + "two")
    chat = model.chat(sampling=GREEDY, thinking=False, settle=True)
    monkeypatch.setattr(chat, "_settle", lambda *_: None)
    return model, chat


def test_after_a_long_answer_without_a_thought_the_next_turn_runs_less_than_a_piece_of_it(unsettled) -> None:
    model, chat = unsettled
    first = chat.send("hi")
    assert first.answer_tokens > 10 * PIECE
    end, new = at_once(model, chat, "again")
    assert end.answer == "two"
    assert end.prefill.tokens < new + PIECE + 2


def test_after_a_thought_too(new_model, monkeypatch) -> None:
    model = new_model(f"<think>\nhm\n</think>\n\n{LONG}", EMPTY + "two")
    chat = model.chat(sampling=GREEDY, thinking=True, settle=True)
    monkeypatch.setattr(chat, "_settle", lambda *_: None)
    assert chat.send("hi").answer_tokens > 10 * PIECE
    assert chat.send("again", thinking=False).prefill.tokens < 3 * PIECE


def test_the_reply_is_the_same_and_so_is_what_the_cache_then_holds(new_model, unsettled) -> None:
    model, chat = unsettled
    alone = new_model(EMPTY + LONG, EMPTY + "two").chat(sampling=GREEDY, thinking=False, settle=False)
    assert chat.send("hi").answer == alone.send("hi").answer == LONG
    history = model.history(chat.messages)
    held = chat._engine.ids
    assert held == history[: len(held)]
    assert len(history) - len(held) < PIECE + 3
    lane = chat._engine._uses.held.lane
    assert lane.rows[0][: len(held)] == held, "keys and values are those of the ids"


def test_a_short_answer_and_a_chat_that_does_not_settle_run_nothing_beside(new_model) -> None:
    for answer, settle in (("one", True), (LONG, False), (LONG, "idle")):
        model = new_model(EMPTY + answer)
        chat = model.chat(sampling=GREEDY, thinking=False, settle=settle)
        assert chat.send("hi").answer == answer
        assert PIECE not in model.session.steps


@pytest.mark.parametrize("exact", [True, False])
def test_unless_told_otherwise_it_is_so_where_own_kernels_run(new_model, exact: bool) -> None:
    model = new_model(EMPTY + LONG)
    model.session.exact_steps = exact
    assert model.chat(sampling=GREEDY, thinking=False).send("hi").answer == LONG
    assert (PIECE in model.session.steps) == exact


@pytest.mark.parametrize("exact", [True, False])
def test_the_server_does_the_same(new_model, exact: bool) -> None:
    model = new_model(EMPTY + LONG, EMPTY + "two")
    model.session.exact_steps = exact
    engine, messages = model.engine(), [{"role": "user", "content": "hi"}]
    for answer in (LONG, "two"):
        request = ReplyRequest.of(messages, {"thinking": False, "sampling": GREEDY}, Thinking())
        plan = ReplyPlan(maker=model.replies, prepared=model.replies.prepare(request))
        *_, end = plan.begin(engine, 0, Stop())
        assert isinstance(end, End)
        assert end.answer == answer
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "again"}]
    assert isinstance(end, End)
    assert (end.prefill.tokens < 3 * PIECE) == exact


def test_a_chat_settles_in_one_of_four_ways(new_model) -> None:
    with pytest.raises(InputError, match="settle is 'later', expected True, False, 'idle' or None"):
        new_model().chat(settle="later")


def test_a_template_that_keeps_the_empty_thought_has_nothing_run_beside(new_model) -> None:
    model = new_model(EMPTY + LONG, template=ChatTemplate(KEEPING, {}))
    assert model.chat(sampling=GREEDY, thinking=False, settle=True).send("hi").answer == LONG
    assert PIECE not in model.session.steps


def test_a_reply_that_is_abandoned_leaves_the_history_and_one_that_is_cancelled_joins_it(new_model) -> None:
    model = new_model(EMPTY + LONG, EMPTY + "two")
    chat = model.chat(sampling=GREEDY, thinking=False, settle=True)
    reply = chat.stream("hi")
    for _ in range(3 * PIECE):
        next(reply)
    reply.abandon()
    list(reply)
    assert chat.messages == []
    reply = chat.stream("hi")
    for _ in range(3 * PIECE):
        next(reply)
    reply.cancel()
    *_, end = reply
    assert LONG.startswith(end.answer)
    assert chat.send("again").answer == "two"


def test_a_memory_limit_counts_both_and_ends_what_is_run_beside_without_room(new_model) -> None:
    ran, kept = [], []
    for tokens in (1400, 100_000):  # of 8 bytes in the made-up model
        model = new_model(EMPTY + LONG, memory_limit=8 * tokens)
        chat = model.chat(sampling=GREEDY, thinking=False, settle=True)
        assert chat.send("hi").answer == LONG
        chat._settler.wait()
        ran.append(model.session.steps.count(PIECE))
        kept.append(model.memory.kv)
    assert 0 < ran[0] < ran[1]
    assert kept[1] <= 8 * 2048, "what both took is given back"


def test_the_history_is_rendered_between_steps_in_which_other_conversations_may_run(new_model) -> None:
    model, turns, held = new_model(EMPTY + LONG), Turns(), []
    request = ReplyRequest.of([{"role": "user", "content": "hi"}], {"thinking": False, "sampling": GREEDY}, Thinking())
    prepared, prompts = model.replies.prepare(request), model.replies._prompts

    class Watched:
        """The model's prompts, which note whether a step is run when they are asked for one."""

        def before_reply(self, *args, **options):
            held.append(turns.taken)
            return prompts.before_reply(*args, **options)

    model.replies._prompts = Watched()
    engine = model.engine()
    engine._uses.turns = turns
    reply = model.replies.begin(prepared, engine, settles=True)
    assert reply.end().answer == LONG
    assert model.session.steps.count(PIECE) > 5
    assert held == [False]


class Turns:
    """A lock that only says whether it is taken."""

    taken = False

    def __enter__(self) -> None:
        self.taken = True

    def __exit__(self, *raised: object) -> None:
        self.taken = False
