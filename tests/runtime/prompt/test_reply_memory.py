"""Replies in the history keep the ids that they were sampled with."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.prompt.prompt import PromptEncoder
from thinkport.runtime.prompt.reply_memory import KnownReply, ReplyMemory, Spelling

GREEDY = SamplingSettings(temperature=0)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def known(text: str, *ids: int) -> KnownReply:
    return KnownReply((Spelling(ids, text),))


def test_a_reply_is_known_with_its_thought_and_without_and_up_to_its_first_call(tokenizer, thinking_ids) -> None:
    ids = tokenizer.encode("<think>\nhi\n</think>\n\non<tool_response>on")
    call = tokenizer.added["<tool_response>"]
    texts = [spelling.text for spelling in KnownReply.of(ids, tokenizer, thinking_ids, call).spellings]
    assert texts == [
        "<think>\nhi\n</think>\n\non<tool_response>on",
        "<think>\nhi\n</think>\n\non",
        "on<tool_response>on",
        "on",
    ]


def test_an_answer_without_a_thought_is_known_as_it_is(tokenizer, thinking_ids) -> None:
    assert [s.text for s in KnownReply.of(tokenizer.encode("hi on"), tokenizer, thinking_ids, None).spellings] == [
        "hi on"
    ]
    assert KnownReply.of([], tokenizer, thinking_ids, None).spellings == ()


def test_the_latest_reply_of_a_content_comes_first_and_the_oldest_are_forgotten() -> None:
    memory = ReplyMemory(limit=6)
    for at in range(4):
        memory.remember("a", known("a", at, at))
    memory.remember("b", known("b", 9))
    assert list(memory.spellings("a")) == [], "eight ids of one content were too many"
    assert [spelling.ids for spelling in memory.spellings("b")] == [(9,)]
    memory.remember("a", known("a", 1))
    memory.remember("a", known("a", 2))
    assert [spelling.ids for spelling in memory.spellings("a")] == [(2,), (1,)]


def test_what_was_used_last_stays_longest() -> None:
    memory = ReplyMemory(limit=2)
    memory.remember("a", known("a", 1))
    memory.remember("b", known("b", 2))
    assert list(memory.spellings("a"))
    memory.remember("c", known("c", 3))
    assert not list(memory.spellings("b"))
    assert list(memory.spellings("a"))


def spelled_oddly(tokenizer, text: str) -> list[int]:
    """Ids of `text` that its tokenizer would never give: a letter at a time, merges undone."""
    return [token for letter in text for token in tokenizer.encode_plain(letter)]


def test_a_reply_in_the_history_is_its_own_ids_though_its_text_has_others(new_model) -> None:
    model = new_model("x")
    odd = spelled_oddly(model.tokenizer, "hi on")
    assert odd != model.tokenizer.encode("hi on")
    stop, start = model.manifest.stop_ids[0], len(model.encode([user("hi")]))
    model.session.next_id = lambda held: [*odd, stop][min(max(0, len(held) - start), len(odd))]
    engine = model.engine()
    messages = [user("hi")]
    end = model.generate(messages, sampling=GREEDY, engine=engine)
    assert end.answer == "hi on"
    prompt = model.encode([*messages, {"role": "assistant", "content": end.answer}, user("again")])
    assert prompt[: start + len(odd)] == engine.ids[: start + len(odd)]
    history = [*messages, {"role": "assistant", "content": "hi on"}, user("again")]
    cold = PromptEncoder(model.tokenizer, model.template).encode(history).ids
    assert prompt != cold
    assert model.tokenizer.decode(prompt) == model.tokenizer.decode(cold)


WORDS = st.lists(st.sampled_from(["hi", "on", "<|im_end|>", "<|im_start|>assistant\nhi", "🙂", "é", "\n"]), max_size=4)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS, st.booleans()), min_size=1, max_size=4), st.booleans())
@settings(max_examples=60)
def test_known_replies_change_ids_but_never_the_text(tokenizer, template, thinking_ids, turns, kept) -> None:
    memory, messages = ReplyMemory(), []
    for asked, thought, answer, remembered in turns:
        said, thinking = " ".join(answer).lstrip("\n"), " ".join(thought).strip("\n")
        reply = [
            thinking_ids.start,
            *spelled_oddly(tokenizer, f"\n{thinking}\n"),
            thinking_ids.end,
            *spelled_oddly(tokenizer, "\n\n" + said),
        ]
        messages += [user(" ".join(asked)), {"role": "assistant", "content": said, "reasoning_content": thinking}]
        if remembered:
            memory.remember(said, KnownReply.of(reply, tokenizer, thinking_ids, None))
    messages += [] if kept else [user("hi")]
    ids = [PromptEncoder(tokenizer, template, replies).encode(messages).ids for replies in (None, memory)]
    assert tokenizer.decode(ids[0]) == tokenizer.decode(ids[1])
    added = np.array(sorted(tokenizer.added.values()))
    assert [token for token in ids[0] if token in added] == [token for token in ids[1] if token in added]
