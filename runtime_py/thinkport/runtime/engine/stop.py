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

    def __init__(self) -> None:
        self.thinking_stopped = self.cancelled = self.abandoned = False

    def stop_thinking(self) -> None:
        """Close the thought, so that the answer comes."""
        self.thinking_stopped = True

    def cancel(self) -> None:
        """End the reply; what came so far is kept."""
        self.cancelled = True

    def abandon(self) -> None:
        """End the reply; nothing of it is kept."""
        self.abandoned = self.cancelled = True
