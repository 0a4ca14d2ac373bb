"""What a graph says after prompts: greedily, and as it is drawn. How much of the greedy text the checkpoint says too.

One pass of the checkpoint over the graph's text is enough: up to the first position where their likeliest tokens
differ, both have the same text before them. Knows lanes and ids; must not know how a token is drawn.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.providers.golden_check import LaneStep, Run, chunk_of, one_by_one

TOKENS = 24


@dataclass(frozen=True, kw_only=True)
class DrawnReply:
    """A reply of at most `tokens` to a prompt, each token drawn by `draw` from logits (vocabulary,), up to a stop."""

    prompt: Ids
    tokens: int
    draw: Callable[[Logits], int]
    stop_ids: Collection[int]


def continued(
    session: LaneSource,
    prompts: Sequence[Ids],
    guesses: Sequence[Ids] = (),
    *,
    run: Run = one_by_one,
    tokens: int = TOKENS,
    drawn: Sequence[DrawnReply] = (),
) -> list[Ids]:
    """Each prompt and the likeliest `tokens` after it, each chosen after the one before: (prompt + tokens,).

    Behind them, the prompts of the `drawn` replies with what was drawn; all take a step together.
    `guesses` are texts that the first prompts may be continued to, as another graph did: all of one goes through the
    graph at once, and what the graph chooses is taken up to where it differs, as in speculative decoding (Leviathan,
    Kalman and Matias, 2023).

    Raises:
        ArtifactError: the graph fails.
    """
    greedy = [_Text(session, prompt, tokens, guess) for prompt, guess in zip_longest(prompts, guesses[: len(prompts)])]
    texts = [*greedy, *(_Text(session, reply.prompt, reply.tokens, None, reply) for reply in drawn)]
    while going := [text for text in texts if len(text.said) < text.end]:
        steps = [(text, step, last) for text in going for step, last in text.steps()]
        chosen: dict[_Text, list[Ids]] = {text: [] for text in going}
        for (text, _, last), logits in zip(steps, run(step for _, step, _ in steps), strict=True):
            chosen[text].append(text.choose(logits, last=last))
        for text in going:
            text.take(np.concatenate(chosen[text]))
    return [text.said for text in texts]


class _Text:
    """A prompt on a lane of its own: the ids `said` so far and those `ahead`, guessed ones among them, up to `end`."""

    def __init__(
        self, session: LaneSource, prompt: Ids, tokens: int, guess: Ids | None, drawn: DrawnReply | None = None
    ) -> None:
        self._drawn = drawn
        self._session, self._lane, self.end = session, session.open_lane(), len(prompt) + tokens
        self.said, self._ahead = prompt, prompt if guess is None else guess[: self.end - 1]

    def steps(self) -> Iterator[tuple[LaneStep, bool]]:
        """The steps over the ids ahead, with logits after the last id said and each guessed one; the last is told."""
        stop, last = len(self._ahead), len(self.said) - 1
        chunk = chunk_of(self._session, stop)
        for start in range(self._lane.length, stop, chunk):
            end = min(start + chunk, stop)
            yield LaneStep(self._lane, self._ahead[None, start:end], keep=max(1, end - max(start, last))), end == stop

    def choose(self, logits: Logits, *, last: bool) -> Ids:
        """The ids that a step's logits (rows, vocabulary) choose; a drawn one only after the last step of a round."""
        if self._drawn is None:
            return np.asarray(logits.argmax(axis=1), np.int64)
        return np.array([self._drawn.draw(logits[-1])] if last else [], np.int64)

    def take(self, chosen: Ids) -> None:
        """Take what the graph chose after the last id said and after each guessed one, up to a wrong guess."""
        for token in chosen[len(self.said) - len(self._ahead) - 1 :]:
            self.said = np.append(self.said, token)
            if self._drawn is not None and token in self._drawn.stop_ids:
                self.end = len(self.said)
            if not np.array_equal(self._ahead[: len(self.said)], self.said):
                break
        self._lane.trim(len(self.said) - 1)
        self._ahead = self.said


def rows_before(ids: Ids, tokens: int = TOKENS) -> Ids:
    """The positions after which the last `tokens` of a text were chosen."""
    return np.arange(len(ids) - tokens - 1, len(ids) - 1)


def in_common(ids: Ids, expected: Logits) -> int:
    """How many of the continuation's tokens the checkpoint chooses too, up to the first it does not.

    `expected` are its logits (tokens, vocabulary) at `rows_before`.
    """
    same = ids[-len(expected) :] == expected.argmax(axis=1)
    return int(same.argmin()) if not same.all() else len(same)
