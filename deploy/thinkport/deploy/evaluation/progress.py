"""How an evaluation tells what it is doing. The library calls a listener; it never prints."""

from typing import Protocol

from thinkport.deploy.evaluation.row import EvalRow, Judgement
from thinkport.runtime.thinking.thinking import Thinking


class EvalListener(Protocol):
    """Is told of everything as it happens, in the evaluating thread."""

    def row_started(self, plan: Thinking) -> None:
        """A way of thinking begins."""

    def replied(self, plan: Thinking, outcome: Judgement) -> None:
        """One reply came and was judged."""

    def row_done(self, row: EvalRow) -> None:
        """A way of thinking is measured."""


class SilentEval:
    """A listener that does nothing."""

    def row_started(self, plan: Thinking) -> None:
        """Nothing."""

    def replied(self, plan: Thinking, outcome: Judgement) -> None:
        """Nothing."""

    def row_done(self, row: EvalRow) -> None:
        """Nothing."""
