"""What a server counts, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).

Knows names and numbers; no label holds anything that a client wrote.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from thinkport.runtime.events import End
from thinkport.runtime.server.jobs import Places

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One server's figures."""

    def __init__(self, places: Places):
        self._registry = CollectorRegistry()
        here: dict[str, Any] = {"registry": self._registry}
        self.requests = Counter("thinkport_requests", "Requests by route and status.", ["route", "status"], **here)
        self._tokens = Counter("thinkport_tokens", "Tokens by kind.", ["kind"], **here)
        self._ends = Counter("thinkport_thinking_ends", "Why thinking ended.", ["end"], **here)
        until_first = "Seconds until a reply's first token."
        self._prefill = Histogram("thinkport_prefill_seconds", until_first, buckets=_SECONDS, **here)
        self._decode = Counter("thinkport_decode_seconds", "Seconds spent on tokens after the first.", **here)
        active = Gauge("thinkport_active_replies", "Replies being written.", **here)
        active.set_function(lambda: places.active)
        waiting = Gauge("thinkport_waiting_requests", "Requests that wait for a place.", **here)
        waiting.set_function(lambda: places.waiting)

    def note(self, event: Any) -> None:
        """Count a reply's end; nothing for other events."""
        if not isinstance(event, End):
            return
        for kind, tokens in (
            ("prompt", event.prefill.tokens),
            ("cached", event.cached_tokens),
            ("thought", event.thought_tokens),
            ("answer", event.answer_tokens),
            ("forced", event.forced_tokens),
        ):
            self._tokens.labels(kind).inc(tokens)
        self._ends.labels(event.thinking_end.value).inc()
        self._prefill.observe(event.prefill.seconds)
        self._decode.inc(event.thinking.seconds + event.answering.seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
