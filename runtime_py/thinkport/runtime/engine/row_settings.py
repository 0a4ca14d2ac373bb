"""How replies that are written at the same time share the machine. Knows numbers; must not know how steps run."""

from dataclasses import dataclass

from thinkport.runtime.errors import InputError

MAX_ROWS = 8
MOST_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """How replies that are written at the same time share steps.

    max_rows: the most in one step; 1 has them take turns. prompt_share: the part of the time that prompts get while
    other replies are written. longest_wait: seconds that a row waits for its next token at most, as far as a piece of a
    prompt can be cut for it.
    """

    max_rows: int = MAX_ROWS
    prompt_share: float = 0.6
    longest_wait: float = 0.25

    def __post_init__(self) -> None:
        if isinstance(self.max_rows, bool) or not isinstance(self.max_rows, int) or not 1 <= self.max_rows <= MOST_ROWS:
            raise InputError(f"max_rows is {self.max_rows!r}, expected 1 (replies take turns) to {MOST_ROWS}")
        if not 0.05 <= self.prompt_share <= 0.95:
            raise InputError(f"prompt_share is {self.prompt_share}, expected 0.05 to 0.95 of the time")
        if not 0.01 <= self.longest_wait <= 60:
            raise InputError(f"longest_wait is {self.longest_wait}, expected 0.01 to 60 seconds")
