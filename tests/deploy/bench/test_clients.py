"""What several clients get at the same time, on the reference model."""

from pathlib import Path

import pytest

from thinkport.deploy.bench.clients import LATE_PROMPT, measure_clients
from thinkport.deploy.bench.contender import BenchPlan
from thinkport.runtime import InputError


def test_every_number_of_clients_is_timed_and_one_that_comes_late(nano_artifact: Path) -> None:
    plan = BenchPlan(contexts=(16,), steps=200, rounds=1, threads=2, kernels="off", provider="cpu")
    found = measure_clients(nano_artifact, plan, [1, 2])
    assert [(one.context, one.clients) for one in found.gains] == [(16, 1), (16, 2)]
    assert all(min(one.turns, one.shared, one.gain, one.longest_wait) > 0 for one in found.gains)
    (late,) = found.late
    assert (late.clients, late.prompt, found.rows.max_rows) == (2, LATE_PROMPT, 2)
    assert min(late.alone, late.first_token, late.longest_wait, late.step) > 0


@pytest.mark.parametrize(("clients", "contexts"), [([0, 4], (16,)), ([], (16,)), ([2], ())])
def test_no_clients_or_contexts_are_refused(tmp_path: Path, clients, contexts) -> None:
    with pytest.raises(InputError, match="each 1 or more"):
        measure_clients(tmp_path, BenchPlan(contexts=contexts), clients)
