"""What the runtime takes beside the graph: tokens per second of replies against bare steps over the same contexts.

Knows the runtime's public objects. Must not know what a benchmark does with the figure.
"""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from thinkport.runtime.events import End
from thinkport.runtime.model import Model

_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Tokens per second of bare steps and of `Model.stream`, each the best of the rounds."""

    bare: float
    stream: float

    @property
    def share(self) -> float:
        """The stream's share of the bare rate; 1 would be no overhead."""
        return self.stream / self.bare


def measure_overhead(model: Model, prompt: str, *, tokens: int = 64, rounds: int = _ROUNDS) -> Overhead:
    """Turn about, `rounds` times: a reply of `tokens` tokens, without thought or drafts, and as many bare steps.

    Both begin after `prompt`; sampling is the answering preset, and nothing stops a reply early.
    """
    endless = Model(
        model.manifest.model_copy(update={"stop_ids": []}), model.tokenizer, model.template, model.session, drafts=False
    )
    streams, bares = [], []
    for seed in range(rounds):
        end = endless.generate(prompt, max_tokens=tokens, thinking=False, seed=seed)
        streams.append((tokens - 1) / end.answering.seconds)
        bares.append(_bare(model, end, tokens))
    return Overhead(bare=max(bares), stream=max(streams))


def _bare(model: Model, end: End, tokens: int) -> float:
    """Steps per second of one token each, over as many random ids as the reply's prompt had."""
    session, random = model.session, np.random.default_rng()
    lane = session.open_lane()
    ids = random.integers(0, session.vocab_size, (1, end.prompt_tokens + tokens - 1))
    chunk = session.prefill_chunk if session.several_tokens_over_past else end.prompt_tokens
    for at in range(0, end.prompt_tokens, chunk):
        lane.step(ids[:, at : min(at + chunk, end.prompt_tokens)])
    began = perf_counter()
    for at in range(end.prompt_tokens, ids.shape[1]):
        lane.step(ids[:, at : at + 1])
    return (tokens - 1) / (perf_counter() - began)
