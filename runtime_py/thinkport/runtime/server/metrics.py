"""What a server counts, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).

Knows names and numbers; no label holds anything that a client wrote.
"""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from thinkport.runtime.events import End
from thinkport.runtime.server.jobs import Places

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class _StepCounts(Collector):
    """What the graph's steps were, as the engine counts them; it begins anew where the graph is loaded again."""

    def __init__(self, places: Places):
        self._places = places

    def collect(self) -> Iterator[Metric]:
        """Steps of all kinds, those that several replies shared, and the replies in these."""
        steps = self._places.steps
        yield CounterMetricFamily("thinkport_steps", "Steps of the graph.", steps.steps)
        yield CounterMetricFamily("thinkport_shared_steps", "Steps that replies shared.", steps.shared_steps)
        yield CounterMetricFamily("thinkport_shared_step_rows", "Replies in shared steps.", steps.shared_rows)


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
        wait = Gauge("thinkport_wait_seconds", "About how long a new request would wait for a place.", **here)
        wait.set_function(lambda: places.wait_seconds)
        chats = Gauge("thinkport_kv_cache_bytes", "What the KV caches of conversations take at most.", **here)
        chats.set_function(lambda: places.memory.kv)
        starts = Gauge("thinkport_prefix_cache_bytes", "What starts of prompts that are kept take at most.", **here)
        starts.set_function(lambda: places.memory.shared)
        self._registry.register(_StepCounts(places))

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
            ("others", 0 if event.parallel is None else event.parallel.tokens),
        ):
            self._tokens.labels(kind).inc(tokens)
        self._ends.labels(event.thinking_end.value).inc()
        self._prefill.observe(event.prefill.seconds)
        self._decode.inc(event.thinking.seconds + event.answering.seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
