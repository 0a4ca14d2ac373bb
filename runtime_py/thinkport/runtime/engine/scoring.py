"""How likely the model finds ids that are given: the log probability of each after those before it.

Knows one use of a KV cache. Logits of at most `ROWS` positions are in memory at a time, however long the text is.
"""

from collections.abc import Iterator

from thinkport.runtime.engine.kv_uses import Use
from thinkport.runtime.engine.logprobs import LogprobRecorder, TokenLogprob

ROWS = 64  # of logits a step: 39 MB of a vocabulary of 152,000


def scores(use: Use, ids: list[int], first: int, top: int, *, chunk: int, several: bool) -> Iterator[TokenLogprob]:
    """Run `ids` but the last over what the KV cache shares with them; yield those from `first` on as they are known.

    A step takes `chunk` tokens before `first`, `ROWS` from there on, and one where a graph takes no more over others.
    Beside each id are the `top` likeliest ones at its place. A cancelled stop ends it early.

    Raises:
        CacheLostError: a later use has the KV cache.
        UnavailableError: replies in progress leave too little memory.
    """
    recorder, wanted, needed = LogprobRecorder(top), ids[:-1], first - 1
    with use.holding():
        use.reserve(len(wanted))
        with use.step() as held:
            at = held.rewind(wanted, needed)
        while at < len(wanted) and not use.stop.cancelled:
            most = 1 if at and not several else chunk if at < needed else ROWS
            end = min(at + most, needed if at < needed else len(wanted))
            found = []
            with use.step() as held:
                if at < needed:
                    held.run(wanted[at:end])
                else:
                    rows = held.run(wanted[at : at + 1], wanted[at + 1 : end])
                    for row, token in zip(rows, ids[at + 1 : end + 1], strict=True):
                        recorder.record(row, token)
                        found.append(recorder.take())
            yield from (one for one in found if one is not None)
            at = end
