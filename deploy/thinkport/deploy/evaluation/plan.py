"""The ways of thinking that an evaluation compares, one row of its table each."""

from collections.abc import Sequence

from thinkport.runtime.errors import InputError
from thinkport.runtime.thinking.thinking import Switch, Thinking


def plans(
    budgets: Sequence[int], soft_from: Sequence[float] = (), *, soft_lift: float = Thinking.soft_lift
) -> tuple[Thinking, ...]:
    """Thinking off, on without a budget, and with each budget: cut hard, then once for each share in `soft_from`.

    Raises:
        InputError: a budget or a share is out of range or given twice.
    """
    for name, values in (("budget", budgets), ("soft_from", soft_from)):
        if len(set(values)) < len(values):
            raise InputError(f"a {name} is given twice in {', '.join(map(str, values))}: leave one out")
    shares: list[float | None] = [None, *soft_from]
    return (
        Thinking(enabled=Switch.OFF, soft_from=None),
        Thinking(enabled=Switch.ON, soft_from=None),
        *(
            Thinking(enabled=Switch.ON, budget=budget, soft_from=share, soft_lift=soft_lift)
            for budget in sorted(budgets)
            for share in shares
        ),
    )


def title(plan: Thinking) -> str:
    """A plan in words: `off`, `on, no budget`, `budget 32`, `budget 32, soft from 0.7`."""
    if plan.enabled is Switch.OFF:
        return "off"
    if plan.budget is None:
        return "on, no budget"
    return f"budget {plan.budget}" + ("" if plan.soft_from is None else f", soft from {plan.soft_from:g}")


def cut(plan: Thinking) -> str:
    """How a plan's budgets are cut, in words; rows that are cut alike are one line of a picture."""
    return "hard budget" if plan.soft_from is None else f"soft from {plan.soft_from:g}"
