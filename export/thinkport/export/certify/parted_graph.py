"""A graph too large to be loaded whole, asked part by part: every part is loaded once for all texts that go through it.

What a part computes of a chunk follows from the parts before it and from the chunks before it, so that all chunks of
all texts can go through one part before the next is loaded: the same products as in one session, in another order.
Memory: a part, what goes from one to the next (a few rows of activations a token), and the KV caches.
"""

# ruff: noqa: D102 - what PartedGraph does is said in AskedGraph

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from types import ModuleType

import numpy as np

from thinkport.export.certify import greedy
from thinkport.export.certify.continuation import Continuation
from thinkport.export.certify.graph_parts import GraphPart
from thinkport.export.certify.part_sessions import PartSessions, Supply
from thinkport.export.certify.part_step import PartStep, Step, Text
from thinkport.export.certify.prompts import Prompt
from thinkport.export.reference.logits import Ids, Logits
from thinkport.export.trace.names import LOGITS
from thinkport.runtime.artifact.manifest import Graph, ModelShape
from thinkport.runtime.providers.golden_check import chunk_of, kept_rows, steps

HELD = 1_500_000_000  # bytes of loaded parts that are worth holding between tokens


class PartedGraph:
    """A graph in parts, whose external data `supply` has.

    `held` bytes of loaded parts stay loaded from one token of a continuation to the next; 0 where what `supply` gives
    is there for one use only.
    """

    def __init__(
        self,
        ort: ModuleType,
        graph: Graph,
        model: ModelShape,
        parts: Sequence[GraphPart],
        supply: Supply,
        held: int,
    ) -> None:
        self._ort, self._graph, self._parts, self._supply, self._held = ort, graph, parts, supply, held
        self._step = PartStep(ort, graph, model)

    def continued(self, prompts: Sequence[Prompt], guesses: Sequence[Ids]) -> list[Ids]:
        """As in AskedGraph; a token costs the loading of the parts that are not held, one that was guessed nothing."""
        texts = [
            Continuation(prompt.ids, greedy.TOKENS, guess)
            for prompt, guess in zip_longest(prompts, guesses[: len(prompts)])
        ]
        sessions = PartSessions(self._ort, self._supply, self._held)
        while ahead := {step: text for text in texts if not text.done for step in self._over(text)}:
            chosen: dict[Continuation, list[Ids]] = {text: [] for text in ahead.values()}
            for step, logits in self._run(list(ahead), sessions):
                if step.stop >= len(ahead[step].said):
                    chosen[ahead[step]].append(logits.argmax(axis=1))
            for text, tokens in chosen.items():
                text.take(np.concatenate(tokens))
        return [text.said for text in texts]

    def _over(self, text: Continuation) -> Iterator[Step]:
        """The steps over what is ahead of a text; they tell what follows its last id, and each guessed one."""
        stop, last = len(text.ahead), len(text.said) - 1
        chunk = chunk_of(self._graph, stop)
        for start in range(text.cached, stop, chunk):
            ids = text.ahead[start : min(start + chunk, stop)]
            yield Step(text=text, ids=ids, start=start, keep=max(1, start + len(ids) - max(start, last)))

    def rows(self, prompts: Sequence[Prompt], decoded: int) -> Iterator[tuple[Prompt, int, Logits]]:
        ahead: list[Step] = []
        asked: dict[int, tuple[Prompt, list[int]]] = {}
        for prompt in prompts:
            text = Text(len(prompt.ids))
            for start, stop in steps(len(prompt.ids), chunk_of(self._graph, len(prompt.ids)), decoded):
                kept = kept_rows(prompt.rows, start, stop)
                step = Step(text=text, ids=prompt.ids[start:stop], start=start, keep=stop - kept[0] if kept else 1)
                asked[id(step)] = prompt, kept
                ahead.append(step)
        numbers = dict.fromkeys((prompt.name for prompt in prompts), 0)
        for step, logits in self._run(ahead, PartSessions(self._ort, self._supply), once=True):
            prompt, kept = asked[id(step)]
            for at in kept:
                yield prompt, numbers[prompt.name], logits[at - step.stop]
                numbers[prompt.name] += 1

    def _run(
        self, ahead: Sequence[Step], sessions: PartSessions, *, once: bool = False
    ) -> Iterator[tuple[Step, Logits]]:
        """Steps, of which those of one text are in order, and their logits (kept, vocabulary).

        `once`: the texts end with them, so that each part's KV caches are dropped after it.
        """
        for part in self._parts:
            types = {name: value.dtype for step in ahead[:1] for name, value in step.values.items()}
            with sessions.use(part, types) as loaded:
                for step in ahead:
                    found = self._step.run(loaded, part, step)
                    step.values = {name: found[name] if name in found else step.values[name] for name in part.later}
                    if LOGITS in found:
                        yield step, found[LOGITS][0, -step.keep :]
            if once:
                for step in ahead:
                    step.text.caches.clear()
