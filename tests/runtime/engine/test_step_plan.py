"""What a plan makes of the seconds that steps took: how wide pieces are, and who is next."""

import pytest

from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.step_plan import NARROWEST, StepPlan


def planned(*, shared: float = 0.0, token: float = 0.0, past: int = 0, share: float = 0.5) -> StepPlan:
    """A plan that has seen steps of these seconds, and no prompt that waited."""
    plan = StepPlan(RowSettings(prompt_share=share))
    if token:
        plan.ran_alone(128 * token, past, 128, rows_wait=False)
    if shared:
        plan.ran_shared(shared, prompt_waits=False)
    return plan


def beside(plan: StepPlan, prompt: int, token: float, shared: float, most: int = 128) -> tuple[float, float]:
    """The seconds until a prompt ran beside rows, whose steps take `shared`, and the rows' longest wait."""
    seconds, waited, longest, ran = 0.0, 0.0, 0.0, 0
    while ran < prompt:
        if plan.prompts_turn:
            width = plan.width(ran, most - ran % most)
            took = width * token
            plan.ran_alone(took, ran, width, rows_wait=True)
            ran, waited = ran + width, waited + took
        else:
            took = shared
            plan.ran_shared(took, prompt_waits=True)
            longest, waited = max(longest, waited + took), 0.0
        seconds += took
    return seconds, longest


@pytest.mark.parametrize(("shared", "token"), [(0.04, 0.0011), (0.073, 0.0011), (0.11, 0.0011), (0.02, 0.0002)])
def test_a_prompt_beside_rows_takes_twice_its_time_and_two_steps_at_most_and_no_row_waits_longer(shared, token) -> None:
    seconds, longest = beside(planned(shared=shared, token=token), 512, token, shared)
    assert 512 * token < seconds <= 2 * 512 * token + 2 * shared
    assert longest <= 0.9 * 0.25


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_prompts_get_their_share_of_a_long_time(share) -> None:
    plan = planned(shared=0.02, token=0.001, share=share)
    seconds, _ = beside(plan, 12_800, 0.001, 0.02)
    assert 12.8 / seconds == pytest.approx(share, abs=0.03)


def test_a_piece_is_what_fits_into_nine_tenths_of_the_longest_wait_beside_a_step_that_rows_may_be_late_for() -> None:
    plan = planned(shared=0.1, token=0.001)
    assert plan.width(0, 1000) == 88, "0.225 s less 0.13 s are 95 tokens; 1,000 are 12 pieces of 84"
    assert plan.width(0, 88) == 88
    assert plan.width(0, 89) == 48, "two halves, not 88 and 1"
    assert plan.width(0, 5) == NARROWEST


def test_a_piece_beside_a_step_that_leaves_it_no_time_takes_half_as_long_as_that() -> None:
    assert planned(shared=0.3, token=0.001).width(0, 144) == 144
    assert planned(shared=0.3, token=0.1).width(0, 1000) == NARROWEST


def test_a_first_piece_is_narrow_while_nothing_is_known() -> None:
    assert planned().width(0, 128) == 16


def test_pieces_over_a_long_past_are_narrower_and_those_over_a_short_one_are_not() -> None:
    plan = planned(token=0.001)
    plan.ran_alone(128 * 0.01, 9000, 128, rows_wait=False)
    assert (plan.width(0, 1024), plan.width(9000, 128)) == (208, 16)
    assert plan.width(1500, 1024) == plan.width(0, 1024), "what is nearest below is taken for what was never seen"
    assert planned(token=0.001, past=9000).width(0, 1024) == 208


def test_no_two_pieces_run_while_a_row_waits_however_small_their_share_was() -> None:
    plan = planned(shared=0.1, token=0.001)
    turns = [plan.prompts_turn]
    plan.ran_shared(5.0, prompt_waits=True)
    plan.ran_alone(0.01, 0, 8, rows_wait=True)
    turns.append(plan.prompts_turn)
    plan.ran_shared(0.1, prompt_waits=True)
    assert [*turns, plan.prompts_turn] == [True, False, True]


def test_a_burst_of_other_work_counts_twice_the_mean_at_most() -> None:
    plan = planned(token=0.001)
    plan.ran_alone(100.0, 0, 128, rows_wait=False)
    assert plan.width(0, 10_000) == pytest.approx(0.225 / 0.0012, abs=NARROWEST)


def test_rows_are_waited_for_a_part_of_a_step_and_five_milliseconds_at_least() -> None:
    assert planned().patience == 0.005
    assert planned(shared=0.1).patience == pytest.approx(0.03)
