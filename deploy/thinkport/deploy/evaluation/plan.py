"""The ways of thinking that an evaluation compares, one row of its table each."""

from collections.abc import Sequence

from thinkport.runtime.errors import InputError
from thinkport.runtime.thinking.thinking import Choose, Switch, Thinking


def plans(
    budgets: Sequence[int],
    soft_from: Sequence[float] = (),
    *,
    soft_lift: float = Thinking.soft_lift,
    widths: Sequence[int] = (),
) -> tuple[Thinking, ...]:
    """Thinking off, on without a budget, and with each budget: cut hard, then once for each share in `soft_from`, then
    with each of the `widths` above 1, whose first thought answers or that vote. Without a budget too if there is none.

    Raises:
        InputError: a budget or a share is out of range or given twice.
    """
    for name, values in (("budget", budgets), ("soft_from", soft_from), ("width", widths)):
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
        *(
            Thinking(enabled=Switch.ON, budget=budget, width=width, choose=choose)
            for width in sorted(widths)
            if width != 1
            for choose in Choose
            for budget in (sorted(budgets) or (None,))
        ),
    )


def title(plan: Thinking) -> str:
    """A plan in words: `off`, `on, no budget`, `budget 32`, `budget 32, soft from 0.7`."""
    if plan.enabled is Switch.OFF:
        return "off"
    several = "" if plan.width == 1 else f", {cut(plan)}"
    if plan.budget is None:
        return f"on, no budget{several}"
    return f"budget {plan.budget}" + ("" if plan.soft_from is None else f", soft from {plan.soft_from:g}") + several


def cut(plan: Thinking) -> str:
    """How a plan's budgets are cut, or how many thoughts have them: the rows of one line of a picture."""
    if plan.width > 1:
        return f"{plan.width} thoughts, {plan.choose}"
    return "hard budget" if plan.soft_from is None else f"soft from {plan.soft_from:g}"
