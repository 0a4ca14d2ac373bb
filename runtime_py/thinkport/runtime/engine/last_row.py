"""What a graph gives behind the last of some ids: logits, or the hidden state of a graph that embeds.

Knows one use of a KV cache. The same ids give the same row, whatever was run before: kernels round by how many tokens a
step takes, so a start is kept as a whole or not at all.
"""

from thinkport.runtime.engine.kv_uses import Use
from thinkport.runtime.engine.session import Logits


def last_row(use: Use, ids: list[int], shared: int) -> Logits | None:
    """Run the first `shared` ids, unless the KV cache begins with them, and then the others, at least one.

    Returns the last row (columns,), the caller's own; None once the use's stop is cancelled.

    Raises:
        CacheLostError: a later use has the KV cache.
        UnavailableError: replies in progress leave too little memory.
    """
    row: Logits | None = None
    with use.holding():
        use.reserve(len(ids))
        with use.step() as held:
            known = held.rewind(ids, shared)
            if known < shared:
                known = held.rewind(ids, 0)
        for part in (ids[known:shared], ids[shared:]):
            with use.step() as held:
                pieces = held.pieces(part)
            for piece in pieces:
                if use.stop.cancelled:
                    return None
                with use.step() as held:
                    row = held.run(piece)[-1].copy()
    return row
