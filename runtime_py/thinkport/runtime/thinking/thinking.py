"""How a reply may think: the settings, who decides, and why a thought ended.

Knows words only; must not know how tokens are drawn. `thought_control.py` does what is asked for here.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from thinkport.runtime.errors import InputError

# https://github.com/QwenLM/Qwen3, "thinking budget"
QWEN_MESSAGE = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
)
MOST_THOUGHTS = 64  # as many rows as a step may have


class Switch(StrEnum):
    """Thinking on, off, or left to the model, as its template has it."""

    ON = "on"
    OFF = "off"
    AUTO = "auto"


class DecidedBy(StrEnum):
    """Who switched a reply's thinking: the call, the chat, the model's default, a message's `/think` or `/no_think`,
    or nobody, which leaves it to the chat template and the model.
    """

    CALL = "call"
    CHAT = "chat"
    MODEL = "model"
    MESSAGE = "message"
    TEMPLATE = "template"


class ThinkingEnd(StrEnum):
    """Why thinking ended.

    off: it was switched off. none: it was left to the model, which did not begin. natural: the model closed the
    thought. soft: the model closed it where closing had been made likelier. budget: its budget was spent. reserve:
    the rest of max_tokens or of the context is the answer's. loop: it repeated itself. user: `stop_thinking`. length,
    context, cancelled: the reply ended within the thought, before anything else closed it.
    """

    OFF = "off"
    NONE = "none"
    NATURAL = "natural"
    SOFT = "soft"
    BUDGET = "budget"
    RESERVE = "reserve"
    LOOP = "loop"
    USER = "user"
    LENGTH = "length"
    CONTEXT = "context"
    CANCELLED = "cancelled"


class Choose(StrEnum):
    """Which of several thoughts answers.

    first: the shortest, as soon as it has ended (short-1@k of arXiv 2505.17813). vote: the shortest `quorum` of them
    answer, and the answer that most of them give is taken (self-consistency, arXiv 2203.11171).
    """

    FIRST = "first"
    VOTE = "vote"


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """How a reply may think.

    enabled: on, off or auto; None takes what the chat, then the model, then the manifest says. budget: the most
    tokens that the model may think, None for no limit of its own, 0 for an empty thought. soft_from: the share of the
    budget from which closing the thought is made likelier at the ends of sentences and lines, more and more; None
    leaves the cut at the budget alone. soft_lift: the most that its logit is raised by for that; a small lift closes
    a thought only where the model nearly would, a large one nearly always. message: what is written before
    `</think>` where a thought is closed for the model. answer_reserve: tokens of `max_tokens` and of the context that
    are the answer's, at most half of either. stop_loops: close a thought that repeats itself.

    width: how many thoughts are written at the same time, each with the whole budget; number i draws with seed + i.
    choose: which of them answers. quorum: how many thoughts answer where they vote; None for all.
    """

    enabled: Switch | bool | None = None
    budget: int | None = None
    soft_from: float | None = None
    soft_lift: float = 12.0
    message: str = QWEN_MESSAGE
    answer_reserve: int = 256
    stop_loops: bool = True
    width: int = 1
    choose: Choose = Choose.FIRST
    quorum: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "enabled", _switch(self.enabled))
        _check_kinds(self)
        if self.budget is not None and self.budget < 0:
            raise InputError(
                f"the thinking budget is {self.budget}, expected 0 tokens or more, or nothing for no limit"
            )
        if self.soft_from is not None and not 0 <= self.soft_from < 1:
            raise InputError(
                f"soft_from is {self.soft_from}, expected a share of the budget from 0 to below 1, or None"
            )
        if not self.soft_lift > 0:
            raise InputError(f"soft_lift is {self.soft_lift}, expected logits above 0")
        if self.answer_reserve < 1:
            raise InputError(f"answer_reserve is {self.answer_reserve}, expected 1 token or more")
        _check_parallel(self)

    def over(self, default: "Thinking") -> "Thinking":
        """These settings where a default's stand: they replace it whole, but for a switch that is None here."""
        return self if self.enabled is not None else replace(self, enabled=default.enabled)


def as_thinking(asked: Thinking | Switch | bool | None, default: Thinking) -> Thinking | None:
    """What a `thinking` argument means over a default: settings as they are, a switch with the default's others."""
    return asked if asked is None or isinstance(asked, Thinking) else replace(default, enabled=asked)


def _switch(enabled: Switch | bool | str | None) -> Switch | None:
    if isinstance(enabled, bool):
        return Switch.ON if enabled else Switch.OFF
    try:
        return None if enabled is None else Switch(enabled)
    except ValueError:
        raise InputError(
            f"thinking is {enabled!r}, expected True, False, on, off or auto, or for a budget Thinking(budget=...)"
        ) from None


def _check_parallel(thinking: Thinking) -> None:
    try:
        object.__setattr__(thinking, "choose", Choose(thinking.choose))
    except ValueError:
        raise InputError(f"choose is {thinking.choose!r}, expected {' or '.join(Choose)}") from None
    if not 1 <= thinking.width <= MOST_THOUGHTS:
        raise InputError(f"width is {thinking.width}, expected 1 to {MOST_THOUGHTS} thoughts")
    if thinking.quorum is None:
        return
    if thinking.choose is not Choose.VOTE:
        raise InputError(f"quorum is {thinking.quorum} and choose is {thinking.choose}: a quorum is for choose='vote'")
    if not 1 <= thinking.quorum <= thinking.width:
        raise InputError(f"quorum is {thinking.quorum}, expected 1 to {thinking.width}, the width")


def _check_kinds(thinking: Thinking) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "budget": (int, type(None)),
        "soft_from": (int, float, type(None)),
        "soft_lift": (int, float),
        "message": (str,),
        "answer_reserve": (int,),
        "stop_loops": (bool,),
        "width": (int,),
        "quorum": (int, type(None)),
    }
    for name, allowed in kinds.items():
        value = getattr(thinking, name)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            words = " or ".join("None" if kind is type(None) else kind.__name__ for kind in allowed)
            raise InputError(f"{name} is {value!r}, expected {words}")
