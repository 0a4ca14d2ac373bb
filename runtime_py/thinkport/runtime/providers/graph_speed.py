"""How fast a loaded graph runs here: a prompt and a few steps, timed once its kernels are ready.

Knows lanes. Must not know providers, or what a figure decides.
"""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from thinkport.runtime.engine.session import Ids, Lane, LaneSource
from thinkport.runtime.events import Speed

PROMPT = 64  # tokens
STEPS = 16  # of one token each


def graph_speed(session: LaneSource) -> tuple[Speed, Speed]:
    """Prefill of `PROMPT` tokens and `STEPS` steps behind it, each the faster of two runs: the first loads kernels.

    Raises:
        ArtifactError: the graph fails.
    """
    runs = [_run(session, session.open_lane()) for _ in range(2)]
    prefill, decode = (min(seconds) for seconds in zip(*runs, strict=True))
    return Speed(tokens=PROMPT, seconds=prefill), Speed(tokens=STEPS, seconds=decode)


def _run(session: LaneSource, lane: Lane) -> tuple[float, float]:
    ids: Ids = np.arange(PROMPT + STEPS, dtype=np.int64)[None] % session.vocab_size
    started = perf_counter()
    for start, stop in _pieces(session):
        lane.step(ids[:, start:stop])
    prefilled = perf_counter()
    for at in range(PROMPT, PROMPT + STEPS):
        lane.step(ids[:, at : at + 1])
    return prefilled - started, perf_counter() - prefilled


def _pieces(session: LaneSource) -> Iterator[tuple[int, int]]:
    width = session.prefill_chunk if session.several_tokens_over_past else PROMPT
    return ((start, min(start + width, PROMPT)) for start in range(0, PROMPT, width))
