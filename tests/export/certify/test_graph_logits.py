"""A graph is asked both ways: in chunks over a past, and token by token."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import pytest

from thinkport.export.certify.graph_logits import CHUNK, DECODED, graph_logits, steps
from thinkport.runtime.kv_snapshot import KvSnapshot
from thinkport.runtime.session import Ids, Logits


@dataclass
class FakeSession:
    """Its logits of a token are one-hot in the token; remembers how many tokens every step had."""

    several_tokens_over_past: bool = True
    prefill_chunk: int = 128
    vocab_size: int = 100
    context_length: int = 1000
    ragged_batches: bool = True
    kv_layout: str = "none"
    taken: list[int] = field(default_factory=list)
    batch: int = 1
    length: int = 0

    def open_lane(self, batch: int = 1) -> "FakeSession":
        return self

    def step(self, ids: Ids, lengths: Ids | None = None, keep: int = 1) -> Logits:
        self.taken.append(ids.shape[1])
        return np.eye(self.vocab_size, dtype=np.float32)[ids][:, -keep:]

    def prefilling(self, tokens: int) -> AbstractContextManager[int]:
        raise AssertionError("the graph itself is to be asked")

    def trim(self, length: int) -> None:
        raise AssertionError("nothing is to be forgotten")

    def read(self, length: int) -> KvSnapshot:
        raise AssertionError("nothing is to be copied")

    def write(self, snapshot: KvSnapshot) -> None:
        raise AssertionError("nothing is to be copied")


@pytest.mark.parametrize("tokens", [1, 2, DECODED, DECODED + 1, 25, 48])
def test_every_token_is_run_once_in_order(tokens: int) -> None:
    found = list(steps(tokens, CHUNK))
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == tokens


def test_a_prompt_is_prefilled_in_chunks_and_then_decoded() -> None:
    session = FakeSession()
    list(graph_logits(session, np.arange(40)))
    assert session.taken == [16, 16] + [1] * DECODED


def test_where_several_tokens_over_a_past_are_not_taken_the_prefill_is_one_step() -> None:
    session = FakeSession(several_tokens_over_past=False)
    list(graph_logits(session, np.arange(40)))
    assert session.taken == [32] + [1] * DECODED


def test_rows_come_with_their_positions() -> None:
    ids = np.random.default_rng(0).integers(0, 100, 40)
    for start, rows in graph_logits(FakeSession(), ids):
        np.testing.assert_array_equal(rows.argmax(1), ids[start : start + len(rows)])
