"""The figures of a reply while it is written: tokens and speed of the part that grows. Knows events, no widgets."""

from collections.abc import Callable
from time import monotonic

from thinkport.runtime.events import AnswerPiece, ThoughtPiece


class LiveFigures:
    """Counts one reply; a new one for each."""

    def __init__(self, now: Callable[[], float] = monotonic):
        """`now` tells seconds."""
        self._now, self._part = now, ""
        self._began, self._first = now(), 0

    def line(self, piece: ThoughtPiece | AnswerPiece) -> str:
        """What to show after a piece: tokens of its part, and their speed once a second one came."""
        part = "Thinking" if isinstance(piece, ThoughtPiece) else "Answering"
        if part != self._part:
            self._part, self._began, self._first = part, self._now(), piece.tokens
        seconds, tokens = self._now() - self._began, piece.tokens - self._first
        rate = f" · {tokens / seconds:.1f} tokens/s" if tokens > 0 and seconds > 0 else ""
        return f"{part} · {piece.tokens} token{'s' * (piece.tokens != 1)}{rate}"
