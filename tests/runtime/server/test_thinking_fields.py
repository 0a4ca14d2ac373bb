import pytest

from thinkport.runtime.server.api_error import ApiError
from thinkport.runtime.server.thinking_fields import BUDGETS, EFFORTS, asked_thinking
from thinkport.runtime.thinking.thinking import Choose, Switch, Thinking

DEFAULT = Thinking(enabled=None, budget=77, soft_from=0.5)


def said(**fields) -> Thinking:
    return asked_thinking(fields, DEFAULT, context=1000, most=4)


@pytest.mark.parametrize("field", BUDGETS)
def test_every_servers_name_of_a_budget_is_one(field) -> None:
    assert said(**{field: 10}).budget == 10


@pytest.mark.parametrize(("effort", "budget"), EFFORTS.items())
def test_an_effort_switches_on_with_its_budget(effort, budget) -> None:
    for fields in ({"reasoning_effort": effort}, {"reasoning": {"effort": effort}}, {"think": effort}):
        assert (said(**fields).enabled, said(**fields).budget) == (Switch.ON, budget)


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "none"},
        {"reasoning_effort": "off"},
        {"reasoning": "off"},
        {"thinking": {"type": "disabled"}},
        {"thinking": False},
        {"reasoning": {"enabled": False}},
        {"think": False},
        {"enable_thinking": False},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ],
)
def test_off_is_off_under_every_name(fields) -> None:
    assert said(**fields).enabled is Switch.OFF


def test_anthropics_form_gives_a_budget_or_leaves_it_to_the_model() -> None:
    enabled = said(thinking={"type": "enabled", "budget_tokens": 9})
    assert (enabled.enabled, enabled.budget) == (Switch.ON, 9)
    assert said(thinking={"type": "adaptive"}) is DEFAULT


def test_an_exact_budget_takes_an_efforts_place_and_the_rest_is_the_models() -> None:
    assert said(reasoning_effort="low", thinking_budget=3) == Thinking(enabled=True, budget=3, soft_from=0.5)
    assert said() is DEFAULT


def test_several_thoughts_are_asked_for_beside_any_budget() -> None:
    asked = said(thinking_width=4, thinking_choose="vote", thinking_quorum=3, think="low")
    assert (asked.width, asked.choose, asked.quorum, asked.budget) == (4, Choose.VOTE, 3, 512)
    assert said(thinking_width=2) == Thinking(enabled=None, budget=77, soft_from=0.5, width=2)


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking_budget": 1001},
        {"thinking_budget": -1},
        {"thinking_token_budget": True},
        {"thinking_budget": 1, "reasoning_budget": 2},
        {"enable_thinking": True, "think": False},
        {"enable_thinking": False, "thinking_budget": 5},
        {"reasoning_effort": "some"},
        {"reasoning": {"efort": "low"}},
        {"chat_template_kwargs": {"enable_thinking": "no"}},
        {"chat_template_kwargs": {"other": 1}},
        {"thinking": {"type": "on"}},
        {"thinking": {}},
        {"thinking": {"type": "enabled", "budget": 1}},
        {"thinking": {"type": "disabled", "budget_tokens": 5}},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "none"},
        {"thinking_choose": "vote"},
        {"thinking_width": 65},
        {"thinking_width": 2, "thinking_choose": "best"},
        {"thinking_width": 2, "thinking_quorum": 2},
        {"thinking_width": 2, "thinking_choose": "vote", "thinking_quorum": 3},
        {"thinking_width": 2, "enable_thinking": False},
    ],
)
def test_what_is_out_of_range_or_contradicts_itself_is_refused(fields) -> None:
    with pytest.raises(ApiError) as told:
        said(**fields)
    assert told.value.status == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"thinking_choose": "best"}, "thinking_choose"),
        ({"thinking_quorum": 2}, "thinking_quorum"),
        ({"thinking_choose": "vote", "thinking_quorum": 3}, "thinking_quorum"),
    ],
)
def test_of_several_thoughts_the_field_that_is_wrong_is_named(fields, param) -> None:
    with pytest.raises(ApiError) as told:
        said(thinking_width=2, **fields)
    assert (told.value.param, told.value.message.split()[0]) == (param, param)
