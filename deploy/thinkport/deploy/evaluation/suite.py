"""A suite: problems with their answers, how they are asked, and the settings that suit them. Reads no files."""

from dataclasses import dataclass, replace

from thinkport.deploy.evaluation.comparison import Comparison
from thinkport.runtime.errors import InputError

# What Qwen's README recommends for mathematics: https://github.com/QwenLM/Qwen3, "best practices".
MATH_SUFFIX = "Please reason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A question and its answer; `task` is the kind of problem, where a suite tells several apart."""

    question: str
    answer: str
    comparison: Comparison = Comparison.EXACT
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Problems in the order in which they are asked.

    suffix: a last line for every question; None adds `MATH_SUFFIX` to boxed ones and nothing to others.
    max_tokens: the longest reply, thought included, None for no limit but the context. budgets: thinking budgets worth
    measuring, in tokens.
    """

    name: str
    problems: tuple[Problem, ...]
    suffix: str | None = None
    max_tokens: int | None = None
    budgets: tuple[int, ...] = ()

    def first(self, n: int) -> "Suite":
        """The suite with its first `n` problems alone.

        Raises:
            InputError: there are fewer.
        """
        if not 1 <= n <= len(self.problems):
            raise InputError(f"n is {n}, expected 1 to {len(self.problems)}, the problems of the suite {self.name}")
        return replace(self, problems=self.problems[:n])

    def prompt(self, problem: Problem) -> str:
        """What the model is asked."""
        suffix = self.suffix
        if suffix is None:
            suffix = MATH_SUFFIX if problem.comparison is Comparison.BOXED else ""
        return f"{problem.question}\n{suffix}" if suffix else problem.question
