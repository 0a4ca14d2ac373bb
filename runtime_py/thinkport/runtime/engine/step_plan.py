"""How wide a piece of a prompt is beside rows that are written, and whose turn it is: arithmetic of seconds.

Knows what steps took; must not know lanes, threads or clocks.
"""

from thinkport.runtime.engine.row_settings import RowSettings

NARROWEST = 8  # tokens of a piece; matrices take fewer for little less
_FIRST_PIECE = 16  # tokens of a piece while nothing is known of the machine
_PATIENCE, _LEAST_PATIENCE = 0.3, 0.005  # of a shared step, and seconds
_PLANNED = 0.9  # of `longest_wait`; the rest is for sampling, and for pieces that take longer than planned
_NEAR = 512  # tokens of a past over which attention is a small part of a piece


class StepPlan:
    """Seconds of steps so far, and what follows from them.

    A token of a piece costs more the longer its past is: its seconds are kept apart for pasts of each power of two.
    """

    def __init__(self, settings: RowSettings):
        self._settings = settings
        self._shared = 0.0  # seconds of a shared step
        self._token: dict[int, float] = {}  # seconds of a token of a piece, by its past
        self._owed = 0.0  # seconds that prompts are ahead of their share
        self._wait_is_spent = False  # a piece ran since the last shared step

    @property
    def patience(self) -> float:
        """Seconds that a shared step waits for rows of the last one."""
        return max(_LEAST_PATIENCE, _PATIENCE * self._shared)

    @property
    def prompts_turn(self) -> bool:
        """Whether a piece comes before the rows that wait: prompts had less than their share, and rows no wait yet."""
        return self._owed <= 0 and not self._wait_is_spent

    def width(self, past: int, left: int) -> int:
        """Tokens of the next of `left` ones over `past`, as many as fit into `longest_wait` with the shared step.

        A piece may take half as long as that step in any case, or prompts would never end beside slow ones. Pieces are
        about equal: a narrow last one would cost nearly as much as a wide one.
        """
        spare = _PLANNED * self._settings.longest_wait - (1 + _PATIENCE) * self._shared
        spare = max(spare, self._shared / 2)
        token = self._token_seconds(past)
        fits = max(NARROWEST, int(spare / token) // NARROWEST * NARROWEST) if token else _FIRST_PIECE
        pieces = -(-left // fits)
        return -(-left // (pieces * NARROWEST)) * NARROWEST

    def ran_shared(self, seconds: float, *, prompt_waits: bool) -> None:
        """A shared step took so long, for which a prompt waited."""
        self._shared = _mean(self._shared, seconds)
        self._owed = self._owed - seconds * self._settings.prompt_share if prompt_waits else 0.0
        self._wait_is_spent = False

    def ran_alone(self, seconds: float, past: int, tokens: int, *, rows_wait: bool) -> None:
        """A step of one row took so long, for which others waited."""
        self._owed = self._owed + seconds * (1 - self._settings.prompt_share) if rows_wait else 0.0
        self._wait_is_spent = rows_wait
        if tokens >= NARROWEST:
            self._token[_kind(past)] = _mean(self._token.get(_kind(past), 0.0), seconds / tokens)

    def _token_seconds(self, past: int) -> float:
        """Of a past that is most like this one, of shorter ones rather than of longer; 0 where nothing is known."""
        kinds = sorted(self._token, key=lambda kind: (kind > _kind(past), abs(kind - _kind(past))))
        return self._token[kinds[0]] if kinds else 0.0


def _kind(past: int) -> int:
    return (past // _NEAR).bit_length()


def _mean(before: float, new: float) -> float:
    """A mean in which earlier values count less and less; a burst of other work counts twice the mean at most."""
    return before + (min(new, 2 * before) - before) / 5 if before else new
