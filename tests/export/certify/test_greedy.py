"""Greedy continuations, and how long two models agree on them."""

import numpy as np
import pytest

from thinkport.export.certify.greedy import DrawnReply, continued, in_common, rows_before
from thinkport.runtime.engine.kv_cache import KvSize, KvSnapshot
from thinkport.runtime.engine.session import Ids, Logits


class NextOne:
    """After a token comes the one above it."""

    vocab_size, context_length, prefill_chunk, ragged_batches, kv_layout = 100, 1000, 128, True, "none"
    kv_size = KvSize(token=1, in_place=True, context=1000)
    exact_steps = False
    lost: str | None = None

    def __init__(self, *, several_tokens_over_past: bool = True) -> None:
        self.several_tokens_over_past = several_tokens_over_past
        self.taken: list[int] = []

    def open_lane(self, batch: int = 1) -> "NextOneLane":
        return NextOneLane(self)


class NextOneLane:
    batch = 1

    def __init__(self, session: NextOne) -> None:
        self.session, self.held = session, np.array([], np.int64)

    @property
    def length(self) -> int:
        return len(self.held)

    def step(self, ids: Ids, lengths: Ids | None = None, keep: int = 1) -> Logits:
        self.session.taken.append(ids.shape[1])
        self.held = np.append(self.held, ids)
        assert (np.diff(self.held) == 1).all() or keep > 1, "the KV cache holds a wrong guess"
        return np.eye(100, dtype=np.float32)[(ids + 1) % 100][:, -keep:]

    def expect(self, tokens: int) -> None:
        pass

    def trim(self, length: int) -> None:
        self.held = self.held[:length]

    def read(self, length: int) -> KvSnapshot:
        raise AssertionError("nothing is to be copied")

    def write(self, snapshot: KvSnapshot) -> None:
        raise AssertionError("nothing is to be copied")


@pytest.mark.parametrize(("several", "taken"), [(True, [16, 4, 1, 1]), (False, [20, 1, 1])])
def test_a_prompt_is_continued_by_the_likeliest_tokens(several: bool, taken: list[int]) -> None:
    session = NextOne(several_tokens_over_past=several)
    (text,) = continued(session, [np.arange(20)], tokens=3)
    assert text.tolist() == [*range(20), 20, 21, 22]
    assert session.taken == taken


@pytest.mark.parametrize(
    ("guess", "taken"),
    [
        ([4, 5, 6, 7], [6]),
        ([4, 5, 6, 0], [6]),  # the last is never run
        ([4, 5, 0, 7], [6, 1]),
        ([0, 5, 6, 7], [6, 1, 1, 1]),
    ],
)
def test_a_guess_is_believed_up_to_where_the_graph_chooses_otherwise(guess: list[int], taken: list[int]) -> None:
    session = NextOne()
    (text,) = continued(session, [np.arange(1, 4)], [np.array([1, 2, 3, *guess])], tokens=4)
    assert text.tolist() == [*range(1, 8)]
    assert session.taken == taken


def test_texts_with_and_without_a_guess_go_side_by_side() -> None:
    session = NextOne()
    found = continued(session, [np.arange(3), np.arange(5)], [np.arange(6)], tokens=3)
    assert [text.tolist() for text in found] == [[*range(6)], [*range(8)]]
    assert session.taken == [5, 5, 1, 1]


def test_rows_before_are_those_that_the_tokens_were_chosen_after() -> None:
    assert rows_before(np.arange(10), 3).tolist() == [6, 7, 8]


@pytest.mark.parametrize(("chosen", "common"), [([7, 8, 9], 3), ([7, 8, 0], 2), ([0, 8, 9], 0), ([7, 0, 9], 1)])
def test_tokens_are_in_common_up_to_the_first_difference(chosen: list[int], common: int) -> None:
    assert in_common(np.arange(10), np.eye(10, dtype=np.float32)[chosen]) == common


def test_drawn_replies_go_beside_greedy_ones_and_end_at_a_stop() -> None:
    seen: list[int] = []

    def noted(logits: Logits) -> int:
        assert logits.shape == (100,)
        seen.append(int(logits.argmax()))
        return seen[-1]

    drawn = [
        DrawnReply(prompt=np.arange(20), tokens=5, draw=noted, stop_ids={22}),
        DrawnReply(prompt=np.arange(30, 33), tokens=2, draw=lambda logits: int(logits.argmax()), stop_ids=()),
    ]
    found = continued(NextOne(), [np.arange(3)], tokens=3, drawn=drawn)
    assert [text.tolist() for text in found] == [[*range(6)], [*range(23)], [*range(30, 35)]]
    assert seen == [20, 21, 22]  # one draw a token, though the prompt took two steps
