"""What may be asked of one use of an engine from outside. Knows no threads, tokens or events: it is looked at."""


class Stop:
    """The wish that a reply, or work ahead of one, ends. Whoever holds it may ask from any thread, at any time.

    The reply that owns it looks before each token. A wish that comes before the reply begins is kept; one that comes
    after its end changes nothing. Wishes are never taken back.

    | asked           | an open thought          | the reply                               |
    |-----------------|--------------------------|-----------------------------------------|
    | nothing         | goes on                  | goes on                                 |
    | `stop_thinking` | closes at its next token | goes on with its answer                 |
    | `cancel`        | ends at its next token   | ends at its next token, with an `End`   |
    | `abandon`       | ends at its next token   | ends at its next token, without an `End`|
    """

    def __init__(self, within: "Stop | None" = None):
        """`within` ends this reply too, as the stop of a request with several replies does; not the other way round."""
        self._within = within
        self._thinking_stopped = self._cancelled = self._abandoned = False

    @property
    def thinking_stopped(self) -> bool:
        """Whether the thought is to close."""
        return self._thinking_stopped or (self._within is not None and self._within.thinking_stopped)

    @property
    def cancelled(self) -> bool:
        """Whether the reply is to end."""
        return self._cancelled or (self._within is not None and self._within.cancelled)

    @property
    def abandoned(self) -> bool:
        """Whether the reply is to end without an `End`."""
        return self._abandoned or (self._within is not None and self._within.abandoned)

    def stop_thinking(self) -> None:
        """Close the thought, so that the answer comes."""
        self._thinking_stopped = True

    def cancel(self) -> None:
        """End the reply; what came so far is kept."""
        self._cancelled = True

    def abandon(self) -> None:
        """End the reply; nothing of it is kept."""
        self._abandoned = self._cancelled = True
