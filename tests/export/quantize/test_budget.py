"""A budget goes to the matrices that gain most for their bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from thinkport.export.sizes import Upgrade, most_worth

UPGRADES = st.lists(
    st.builds(Upgrade, names=st.just(("w",)), nbytes=st.integers(1, 1000), gain=st.floats(0, 10)), max_size=12
)


@given(UPGRADES, st.integers(0, 3000))
def test_what_is_chosen_fits_and_nothing_that_is_left_out_would_have(upgrades: list[Upgrade], room: int) -> None:
    chosen = most_worth(upgrades, room)
    left = room - sum(one.nbytes for one in chosen)
    assert left >= 0
    assert all(one.nbytes > left for one in upgrades if not any(one is other for other in chosen))


def test_the_best_for_its_bytes_comes_first_and_one_that_does_not_fit_leaves_room_to_smaller_ones() -> None:
    small, large, poor = (
        Upgrade(names=(name,), nbytes=nbytes, gain=gain)
        for name, nbytes, gain in (("small", 10, 1.0), ("large", 100, 9.0), ("poor", 30, 0.1))
    )
    assert most_worth([poor, large, small], 140) == [small, large, poor]
    assert most_worth([poor, large, small], 50) == [small, poor]


@given(UPGRADES)
def test_more_room_never_gains_less_by_first_choices(upgrades: list[Upgrade]) -> None:
    everything = most_worth(upgrades, np.inf)
    assert len(everything) == len(upgrades)
    worths = [one.gain / one.nbytes for one in everything]
    assert worths == sorted(worths, reverse=True)
