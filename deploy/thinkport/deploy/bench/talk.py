"""What a conversation of two questions is made of, and the seconds that an engine takes for it.

Between the questions a template drops the thought, so that an engine has to rewind its KV cache to the first prompt's
end, and runs the answer once more with the second question. Knows numbers of tokens. Must not know engines.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

from thinkport.runtime.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TalkPlan:
    """Tokens of the first prompt, of the thought and the answer that follow it, and of the second question."""

    prompt: int
    thought: int
    answer: int
    question: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> Self | None:
        """The four in this order; None where there are no counts.

        Raises:
            InputError: there are others than four, or one is below 1.
        """
        if not counts:
            return None
        if len(counts) != 4 or min(counts) < 1:
            raise InputError(
                f"--conversation is {','.join(map(str, counts))}, expected four numbers, each 1 or more: tokens of a "
                "prompt, a thought, an answer and a second question"
            )
        prompt, thought, answer, question = counts
        return cls(prompt=prompt, thought=thought, answer=answer, question=question)

    @property
    def longest(self) -> int:
        """The most tokens that a KV cache has to hold."""
        return self.prompt + self.answer + max(self.thought, self.question + 1)

    def __str__(self) -> str:
        prompt, thought, answer, question = astuple(self)
        return (
            f"a prompt of {prompt:,} tokens, a thought of {thought:,}, an answer of {answer:,} and a second question "
            f"of {question:,}"
        )


@dataclass(frozen=True, kw_only=True)
class TalkSeconds:
    """Seconds until a prompt's first token, of the rest of its reply, and until the second question's first token."""

    prompt: float
    reply: float
    second: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.prompt + self.reply + self.second
