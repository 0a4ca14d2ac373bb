"""How likely a model finds a text: the log probability of its tokens, their sum and what follows from it.

A text longer than a window is scored in several: each predicts the next `stride` tokens and sees as many before them as
fit. With a stride of a whole window these are the windows of lm-evaluation-harness' `loglikelihood_rolling`. Knows ids
and engines; must not know files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

import numpy as np

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.tokenizer import Tokenizer, token_bytes

Text = str | Sequence[int]
_MOST_NATS = 700  # whose exponential a float still holds


@dataclass(frozen=True, kw_only=True)
class ScoredToken:
    """A token's log probability in nats after those before it; None of a first token, which has none before.

    `greedy`: it is the likeliest one at its place. Its characters in the score's text are `start` to `end`; a character
    of several tokens belongs to the first.
    """

    id: int
    start: int
    end: int
    logprob: float | None
    greedy: bool


@dataclass(frozen=True, kw_only=True)
class TextScore:
    """A scored text: that of its tokens, `text`, which a tokenizer that normalizes may spell otherwise than it came.

    `window` and `stride` are in tokens, `windows` is how many were run.
    """

    text: str
    tokens: tuple[ScoredToken, ...]
    bytes: int
    window: int
    stride: int
    windows: int

    @property
    def positions(self) -> int:
        """How many tokens were scored."""
        return sum(token.logprob is not None for token in self.tokens)

    @property
    def logprob(self) -> float:
        """The sum of the log probabilities, in nats."""
        return sum(token.logprob for token in self.tokens if token.logprob is not None)

    @property
    def greedy(self) -> bool:
        """Whether every scored token is the likeliest one at its place."""
        return all(token.greedy for token in self.tokens if token.logprob is not None)

    @property
    def nats_per_token(self) -> float:
        """The mean surprise of a token; no number where none was scored."""
        return -self.logprob / self.positions if self.positions else float("nan")

    @property
    def perplexity(self) -> float:
        """The exponential of `nats_per_token`; infinity where that is no number of a computer."""
        return float("inf") if self.nats_per_token > _MOST_NATS else exp(self.nats_per_token)

    @property
    def bits_per_byte(self) -> float:
        """Bits of surprise a byte of the scored tokens' text: it does not depend on the tokenizer."""
        return -self.logprob / log(2) / self.bytes


def score(
    engine: Engine,
    tokenizer: Tokenizer,
    text: Text,
    continuation: Text | None,
    *,
    window: int | None,
    stride: int | None,
    stop: Stop | None = None,
) -> TextScore:
    """Score a text, or a continuation after it; see `Model.score`.

    Raises:
        InputError: fewer than two tokens, a continuation without a token, or a window or stride that can't be.
    """
    ids, first = _encoded(tokenizer, text, continuation)
    window, stride = _window(window, stride, engine.context_length)
    found: dict[int, tuple[float, bool]] = {}
    spans = list(windows(len(ids), first, window, stride)) or [(0, 1, len(ids))]  # too few, which is refused
    for begin, start, end in spans:
        scored = engine.scores(ids[begin:end], first=start - begin, top=1, stop=stop)
        found |= {at: (one.logprob, one.top[0][0] == one.id) for at, one in enumerate(scored, start)}
    shown = 0 if continuation is None else first
    tokens, spelled = _tokens(tokenizer, ids[shown:], [found.get(at) for at in range(shown, len(ids))])
    scored_bytes = sum(len(token_bytes(tokenizer.token(one) or "")) for one in ids[first:])
    return TextScore(
        text=spelled, tokens=tokens, bytes=max(1, scored_bytes), window=window, stride=stride, windows=len(spans)
    )


def windows(tokens: int, first: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, start, end) of each: the tokens from `start` to `end` are predicted by those from `begin` on.

    Every token from `first` on is predicted once. At most `window` tokens of a window are run, the last one is not.
    """
    for start in range(first, tokens, stride):
        end = min(start + stride, tokens)
        yield max(0, end - 1 - window), start, end


def _encoded(tokenizer: Tokenizer, text: Text, continuation: Text | None) -> tuple[list[int], int]:
    """The ids of both together, and the number of the first that is scored.

    Two texts are encoded as one, and spaces at the end of the first count to the second: a word's token has its space.
    """
    if continuation is None:
        return _ids(tokenizer, text), 1
    if isinstance(text, str) and isinstance(continuation, str):
        before = tokenizer.encode(text.rstrip())
        ids = tokenizer.encode(text + continuation)
    else:
        before, after = _ids(tokenizer, text), _ids(tokenizer, continuation)
        ids = before + after
    if not 0 < len(before) < len(ids):
        raise InputError(
            f"a prompt of {len(before)} tokens and a continuation of {len(ids) - len(before)}, expected at least one "
            "of each: a text without a prompt is scored alone"
        )
    return ids, len(before)


def _ids(tokenizer: Tokenizer, text: Text) -> list[int]:
    if isinstance(text, str):
        return tokenizer.encode(text)
    given: object = text  # a caller without a type checker may give anything
    if isinstance(given, bytes) or not isinstance(given, Sequence | np.ndarray):
        raise InputError(f"what is scored is {type(given).__name__}, expected a text or a list of ids")
    return list(text)


def _window(window: int | None, stride: int | None, context: int) -> tuple[int, int]:
    window = context if window is None else window
    if not 1 <= window <= context:
        raise InputError(f"a window of {window} tokens, expected 1 to {context}, the model's context")
    stride = window if stride is None else stride
    if not 1 <= stride <= window:
        raise InputError(f"a stride of {stride} tokens, expected 1 to {window}, the window")
    return window, stride


def _tokens(
    tokenizer: Tokenizer, ids: Sequence[int], found: Sequence[tuple[float, bool] | None]
) -> tuple[tuple[ScoredToken, ...], str]:
    """The tokens with their places in the text, and the text."""
    spelled = [token_bytes(tokenizer.token(one) or "") for one in ids]
    places = [0]
    for part in spelled:  # each character counts where its first byte is
        places.append(places[-1] + sum(byte & 0xC0 != 0x80 for byte in part))
    tokens = tuple(
        ScoredToken(id=one, start=start, end=end, logprob=known and known[0], greedy=bool(known and known[1]))
        for one, (start, end), known in zip(ids, pairwise(places), found, strict=True)
    )
    return tokens, b"".join(spelled).decode("utf-8", "replace")
