"""What the next prompt begins with, run a piece at a time while a reply is written.

Templates leave thoughts out of a history, empty ones too, so that the answer stands at other places there than in the
reply, over another past: its keys and values are others, and all of the answer would have to be run before the next
turn's first token. Knows ids and keys and values; must not know templates or replies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thinkport.runtime.engine.kv_cache import KvSnapshot

PIECE = 32  # tokens of a step beside a reply


@dataclass(kw_only=True)
class NextStart:
    """Ids that the next prompt is likely to begin with, and how far they were run.

    `ask` gives those up to the reply's text, none where nothing can be said of them. `said` are those of the reply, as
    they come. `ids` were run: the first `shared` are the held sequence's own, and `rows` are the keys and values of the
    others. `over`: no more of them are run.
    """

    ask: Callable[[], Sequence[int]]
    said: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    shared: int = 0
    rows: KvSnapshot | None = None
    over: bool = False
    _start: list[int] = field(default_factory=list)

    def ready(self, width: int) -> bool:
        """Whether there may be a piece of `width` ids to run."""
        return not self.over and len(self.said) - max(0, len(self.ids) - len(self._start)) >= width

    def look(self) -> None:
        """Ask for what comes before the reply's text, once; none of it, and nothing is to be run."""
        if not self._start:
            self._start = list(self.ask())
            self.over = not self._start

    @property
    def wanted(self) -> list[int]:
        """All that is known of the next prompt's start."""
        return [*self._start, *self.said]

    def begin(self, same: int, kept: int, width: int) -> None:
        """Go on from the first `kept` tokens of the held sequence, which has `same` tokens in common.

        Nothing is run where all is held already, or much more than the reply is not: that is for the time after it.
        """
        self.ids, self.shared = self.wanted[:kept], kept
        self.over = same == len(self.wanted) or len(self._start) - kept > 2 * width

    def piece(self, width: int) -> list[int]:
        """The next `width` ids to run; none where there are fewer, or nothing is to be run."""
        piece = self.wanted[len(self.ids) : len(self.ids) + width]
        return [] if self.over or len(piece) < width else piece
