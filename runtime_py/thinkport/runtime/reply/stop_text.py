"""Text that ends before a stop string.

A stop string may begin and end within tokens. Streamed text is never taken back, so text that may begin a stop string
is held until more text decides. Must not know where the text comes from.
"""


class StopText:
    """Text that ends before the first of some strings; `met` is that string, once it came."""

    def __init__(self, stops: tuple[str, ...]):
        self._stops = stops
        self._held = ""
        self.met: str | None = None

    def feed(self, text: str) -> str:
        """Add text and return what can be shown now."""
        if self.met is not None:
            return ""
        text = self._held + text
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self._held = ""
            at, self.met = min(found)
            return text[:at]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """Return the held text, which turned out to be no stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of `text` may begin `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
