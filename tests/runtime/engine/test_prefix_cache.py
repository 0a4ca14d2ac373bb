"""What is kept for later conversations, held against a model of it that does everything the long way."""

from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.engine.kv_cache import KvSnapshot
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.errors import InputError

TOKEN = 2 * 4 + 8  # a key and a value of a float32 each, and an id


def snapshot_of(ids) -> KvSnapshot:
    values = np.array(ids, np.float32)[None, None, :, None]
    return KvSnapshot(parts=(values.copy(), -values))


def ids_in(snapshot: KvSnapshot | None):
    return [] if snapshot is None else snapshot.parts[0].ravel().astype(int).tolist()


class LongWay:
    """Entries as lists of ids, the most recently used last."""

    def __init__(self, limit: int):
        self.limit = limit
        self.entries: list[list[int]] = []

    def put(self, ids) -> bool:
        if len(ids) * TOKEN > self.limit:
            return False
        if not self.covers(ids):
            self.entries = [entry for entry in self.entries if ids[: len(entry)] != entry] + [ids]
            while sum(map(len, self.entries)) * TOKEN > self.limit:
                self.entries.pop(0)
        return True

    def covers(self, ids) -> bool:
        covering = [entry for entry in self.entries if entry[: len(ids)] == ids]
        self.use(covering)
        return bool(covering)

    def longest(self, ids):
        for length in range(len(ids), 0, -1):
            sharing = [entry for entry in self.entries if entry[:length] == ids[:length] and len(entry) >= length]
            if sharing:
                self.use(sharing)
                return ids[:length]
        return []

    def use(self, found) -> None:
        if found:
            self.entries.remove(found[-1])
            self.entries.append(found[-1])


IDS = st.lists(st.integers(0, 2), min_size=1, max_size=6)
CALLS = st.lists(st.tuples(st.sampled_from(["put", "longest", "covers"]), IDS), max_size=30)


@given(st.integers(0, 20 * TOKEN), CALLS)
def test_any_order_of_calls_gives_what_the_long_way_gives(limit, calls) -> None:
    cache, model = PrefixCache(limit), LongWay(limit)
    for name, ids in calls:
        if name == "put":
            assert cache.put(ids, snapshot_of(ids)) == model.put(ids)
        elif name == "covers":
            assert cache.covers(ids) == model.covers(ids)
        else:
            assert ids_in(cache.longest(ids)) == model.longest(ids)
        assert cache.bytes == sum(map(len, model.entries)) * TOKEN <= limit


def test_an_entry_serves_a_prompt_that_shares_its_first_tokens_only() -> None:
    cache = PrefixCache(1000)
    cache.put([1, 2, 3, 4], snapshot_of([1, 2, 3, 4]))
    found = cache.longest([1, 2, 9])
    assert found
    assert ids_in(found) == [1, 2]
    assert ids_in(KvSnapshot(parts=(-found.parts[1], found.parts[0]))) == [1, 2], "keys and values are cut alike"
    assert cache.longest([2, 1]) is None


def test_the_least_recently_used_entry_goes_first() -> None:
    cache = PrefixCache(2 * TOKEN)
    for token in (1, 2):
        cache.put([token], snapshot_of([token]))
    cache.longest([1])
    cache.put([3], snapshot_of([3]))
    assert [ids_in(cache.longest([token])) for token in (1, 2, 3)] == [[1], [], [3]]


@pytest.mark.parametrize("use", [lambda cache: cache.covers([1]), lambda cache: cache.put([1], snapshot_of([1]))])
def test_asking_for_an_entry_or_storing_it_again_uses_it(use) -> None:
    cache = PrefixCache(3 * TOKEN)
    cache.put([1, 2], snapshot_of([1, 2]))
    cache.put([3], snapshot_of([3]))
    use(cache)
    cache.put([4], snapshot_of([4]))
    assert [ids_in(cache.longest([token, 2])) for token in (1, 3, 4)] == [[1, 2], [], [4]]


def test_what_alone_is_too_large_is_refused_and_drops_nothing() -> None:
    cache = PrefixCache(2 * TOKEN)
    assert cache.put([1, 2], snapshot_of([1, 2]))
    assert not cache.put([1, 2, 3], snapshot_of([1, 2, 3]))
    assert ids_in(cache.longest([1, 2, 3])) == [1, 2]


def test_a_limit_of_0_stores_nothing_and_a_negative_one_is_refused() -> None:
    cache = PrefixCache(0)
    assert not cache.put([1], snapshot_of([1]))
    assert (cache.longest([1]), cache.bytes) == (None, 0)
    with pytest.raises(InputError, match="limit is -1 bytes, expected 0"):
        PrefixCache(-1)


def test_a_view_is_copied_so_that_the_limit_counts_all_that_is_kept_alive() -> None:
    cache, whole = PrefixCache(1000), snapshot_of(range(20))
    cache.put([0, 1], whole.first(2))
    whole.parts[0][...] = 9
    assert ids_in(cache.longest([0, 1])) == [0, 1]


def test_a_cleared_cache_holds_nothing() -> None:
    cache = PrefixCache(1000)
    cache.put([1], snapshot_of([1]))
    cache.clear()
    assert (cache.longest([1]), cache.bytes) == (None, 0)


def test_threads_may_use_one_cache_at_once() -> None:
    cache, together, wrong = PrefixCache(40 * TOKEN), Barrier(4), []

    def use(seed: int) -> None:
        random = np.random.default_rng(seed)
        together.wait()
        for _ in range(300):
            ids = random.integers(0, 3, random.integers(1, 8)).tolist()
            cache.put(ids, snapshot_of(ids))
            found = ids_in(cache.longest(ids))
            wrong.extend([ids] if found != ids[: len(found)] or cache.bytes > 40 * TOKEN else [])

    threads = [Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
