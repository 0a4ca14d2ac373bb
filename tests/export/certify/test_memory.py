"""What certifying is said to take, and what is refused for want of it."""

import pytest

from thinkport.export.certify import certifying_bytes, check_memory
from thinkport.export.errors import CertificateError


def test_a_graph_that_fits_is_let_through() -> None:
    check_memory(3_000_000_000, 3_100_000_000)


def test_a_graph_that_does_not_fit_is_refused_with_both_sizes() -> None:
    with pytest.raises(CertificateError, match=r"about 30\.0 GB of memory and 8\.0 GB are available"):
        check_memory(30_000_000_000, 8_000_000_000)


def test_a_small_graph_is_loaded_whole() -> None:
    assert certifying_bytes(400_000_000, 100_000_000, 0) == 600_000_000


@pytest.mark.parametrize("weights", [5_000_000_000, 50_000_000_000])
def test_of_a_large_graph_the_largest_part_counts_and_not_the_number_of_layers(weights: int) -> None:
    assert certifying_bytes(weights, 400_000_000, 0) == 2_100_000_000


def test_logits_of_every_row_count_too() -> None:
    without, counted = (certifying_bytes(400_000_000, 100_000_000, size) for size in (0, 150_000))
    assert counted - without > 3e8
