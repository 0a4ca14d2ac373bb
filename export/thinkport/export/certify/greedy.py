"""How long a graph says greedily what the checkpoint would say.

One pass of the checkpoint over what the graph said is enough: up to the first position where its likeliest token is
another one, the two have had the same text before them. Knows lanes and ids.
"""

import numpy as np

from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.providers.golden_check import chunk_of

TOKENS = 24


def continued(session: LaneSource, ids: Ids, tokens: int = TOKENS) -> Ids:
    """The prompt and the likeliest `tokens` after it, each chosen after the one before: (prompt + tokens,)."""
    lane, text = session.open_lane(), ids.tolist()
    chunk = chunk_of(session, len(ids))
    for start in range(0, len(ids), chunk):
        logits = lane.step(ids[None, start : start + chunk])
    text.append(int(logits[0, -1].argmax()))
    while len(text) < len(ids) + tokens:
        text.append(int(lane.step(np.array([text[-1:]]))[0, -1].argmax()))
    return np.array(text, np.int64)


def rows_before(ids: Ids, tokens: int = TOKENS) -> Ids:
    """The positions after which the last `tokens` of a text were chosen."""
    return np.arange(len(ids) - tokens - 1, len(ids) - 1)


def in_common(ids: Ids, expected: Logits) -> int:
    """How many of the continuation's tokens the checkpoint chooses too, up to the first it does not.

    `expected` are its logits (tokens, vocabulary) at `rows_before`.
    """
    same = ids[-len(expected) :] == expected.argmax(axis=1)
    return int(same.argmin()) if not same.all() else len(same)
