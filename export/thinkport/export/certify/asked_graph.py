"""What a graph is asked to be certified, and a graph that is asked as it is shipped: whole, in one session."""

# ruff: noqa: D102 - what WholeGraph does is said in AskedGraph

from collections.abc import Iterator, Sequence
from typing import Protocol

from thinkport.export.certify import greedy
from thinkport.export.certify.prompts import Prompt
from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.providers.golden_check import golden_rows


class AskedGraph(Protocol):
    """A graph that is loaded on the CPU, whole or part by part.

    Both raise ArtifactError where the graph fails.
    """

    def continued(self, prompts: Sequence[Prompt], guesses: Sequence[Ids]) -> list[Ids]:
        """Each prompt and the likeliest `greedy.TOKENS` after it, each chosen after the one before.

        `guesses` are another graph's texts for the first prompts, which may spare work.
        """

    def rows(self, prompts: Sequence[Prompt], decoded: int) -> Iterator[tuple[Prompt, int, Logits]]:
        """Every prompt's rows in order: the prompt, the row's number, its logits (vocabulary,), valid until the next.

        A prompt goes in chunks over a past, where the graph takes that, and its last `decoded` tokens one at a time.
        """


class WholeGraph:
    """A graph in one session."""

    def __init__(self, session: LaneSource) -> None:
        self._session = session

    def continued(self, prompts: Sequence[Prompt], guesses: Sequence[Ids]) -> list[Ids]:
        """Asked token by token, whatever is guessed: that is how it would be used, and costs little."""
        return [greedy.continued(self._session, prompt.ids) for prompt in prompts]

    def rows(self, prompts: Sequence[Prompt], decoded: int) -> Iterator[tuple[Prompt, int, Logits]]:
        for prompt in prompts:
            for at, found in enumerate(golden_rows(self._session, prompt.ids, prompt.rows, decoded)):
                yield prompt, at, found
