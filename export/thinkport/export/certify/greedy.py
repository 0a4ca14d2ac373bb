"""How many tokens a graph's greedy continuation has in common with the checkpoint's.

One pass of the checkpoint over the graph's text is enough: up to the first position where their likeliest tokens
differ, both have the same text before them. Knows lanes and ids.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.providers.golden_check import LaneStep, Run, chunk_of, one_by_one

TOKENS = 24


def continued(
    session: LaneSource,
    prompts: Sequence[Ids],
    guesses: Sequence[Ids] = (),
    *,
    run: Run = one_by_one,
    tokens: int = TOKENS,
) -> list[Ids]:
    """Each prompt and the likeliest `tokens` after it, each chosen after the one before: (prompt + tokens,).

    `guesses` are texts that the first prompts may be continued to, as another graph did: all of one goes through the
    graph at once, and what the graph chooses is taken up to where it differs, as in speculative decoding (Leviathan,
    Kalman and Matias, 2023).

    Raises:
        ArtifactError: the graph fails.
    """
    texts = [_Text(session, prompt, tokens, guess) for prompt, guess in zip_longest(prompts, guesses[: len(prompts)])]
    while going := [text for text in texts if len(text.said) < text.end]:
        steps = [(text, step) for text in going for step in text.steps()]
        chosen: dict[_Text, list[Ids]] = {text: [] for text in going}
        for (text, _), logits in zip(steps, run(step for _, step in steps), strict=True):
            chosen[text].append(logits.argmax(axis=1))
        for text in going:
            text.take(np.concatenate(chosen[text]))
    return [text.said for text in texts]


class _Text:
    """A prompt on a lane of its own: the ids `said` so far and those `ahead`, guessed ones among them, up to `end`."""

    def __init__(self, session: LaneSource, prompt: Ids, tokens: int, guess: Ids | None) -> None:
        self._session, self._lane, self.end = session, session.open_lane(), len(prompt) + tokens
        self.said, self._ahead = prompt, prompt if guess is None else guess[: self.end - 1]

    def steps(self) -> Iterator[LaneStep]:
        """The steps over the ids ahead, with logits after the last id said and after each guessed one."""
        stop, last = len(self._ahead), len(self.said) - 1
        chunk = chunk_of(self._session, stop)
        for start in range(self._lane.length, stop, chunk):
            end = min(start + chunk, stop)
            yield LaneStep(self._lane, self._ahead[None, start:end], keep=max(1, end - max(start, last)))

    def take(self, chosen: Ids) -> None:
        """Take what the graph chose after the last id said and after each guessed one, up to a wrong guess."""
        for token in chosen[len(self.said) - len(self._ahead) - 1 :]:
            self.said = np.append(self.said, token)
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
