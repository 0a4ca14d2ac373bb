"""Which provider a model runs on and why: every graph that was considered, and what became of it."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What became of a graph."""

    CHECKED = "checked"  # used: its logits were just held against the goldens
    REMEMBERED = "remembered"  # used: they were before, on this machine
    UNCHECKED = "unchecked"  # used without a check, for the reason that is given
    WRONG = "wrong"  # its logits are not the checkpoint's
    FAILED = "failed"  # it could not be loaded or run
    IMPOSSIBLE = "impossible"  # the installed ONNX Runtime can't run it
    UNNEEDED = "unneeded"  # a better one is used
    SLOWER = "slower"  # right, and slower than the one that is used
    TRYING = "trying"  # whether it is right and how fast is being found out


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One graph with its provider; `seconds` are those of the check, whole or not, None where none began.

    `device` is the number of the provider's device that was asked for, None where none was; `device_name` is what a
    plugin calls the device that it took, None where the provider is built in. `kernels` is the set of thinkport's own
    that a native graph runs, None for other graphs.
    """

    graph: str
    provider: str
    outcome: Outcome
    reason: str
    seconds: float | None = None
    device: int | None = None
    device_name: str | None = None
    kernels: str | None = None

    @property
    def ran(self) -> bool:
        """Whether the graph was loaded and then failed or was wrong: nothing is missing that could be installed."""
        return self.outcome is Outcome.WRONG or (self.outcome is Outcome.FAILED and self.seconds is not None)

    @property
    def place(self) -> str:
        """The provider in a word, with its device's number if one was asked for, and its name if it is known."""
        device = "" if self.device is None else f" {self.device}"
        name = f", {self.device_name}" if self.device_name else ""
        kernels = f", kernels {self.kernels}" if self.kernels else ""
        return self.provider.removesuffix("ExecutionProvider") + device + name + kernels

    def __str__(self) -> str:
        return f"{self.graph} on {self.place}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class ProviderReport:
    """What was asked for, with which build of ONNX Runtime, and all attempts in order; the last used one runs."""

    asked: str
    build: str
    attempts: tuple[Attempt, ...] = ()

    @property
    def chosen(self) -> Attempt | None:
        """The graph that runs; None in a model that was put together without an artifact."""
        used = (Outcome.CHECKED, Outcome.REMEMBERED, Outcome.UNCHECKED)
        return next((one for one in self.attempts if one.outcome in used), None)

    @property
    def trying(self) -> bool:
        """Whether graphs were being tried beside the program when it was made; see `Model.refresh`."""
        return any(one.outcome is Outcome.TRYING for one in self.attempts)

    def without_trying(self, why: str) -> "ProviderReport":
        """The report once it is known `why` nothing comes of the graphs that were being tried."""
        attempts = (
            replace(one, outcome=Outcome.FAILED, reason=why) if one.outcome is Outcome.TRYING else one
            for one in self.attempts
        )
        return replace(self, attempts=tuple(attempts))

    @property
    def passed_over(self) -> tuple[Attempt, ...]:
        """What this machine should have run and could not: graphs that were wrong or failed."""
        return tuple(one for one in self.attempts if one.outcome in (Outcome.WRONG, Outcome.FAILED))

    @property
    def reason(self) -> str:
        """The choice in a sentence or two."""
        if self.chosen is None:
            return "no graph was loaded"
        return ". ".join([str(self.chosen), *(f"Passed over {one}" for one in self.passed_over)])

    def as_json(self) -> dict[str, Any]:
        """The report for programs, as a server's health page shows it."""
        return {**asdict(self), "chosen": self.chosen and asdict(self.chosen), "reason": self.reason}
