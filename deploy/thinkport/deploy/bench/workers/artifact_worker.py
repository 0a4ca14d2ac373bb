"""Measures an artifact in thinkport's own runtime: loading, prefill, bare decode steps, and what the engine adds."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Any

import numpy as np

from thinkport.deploy.bench.workers.onnx_worker import private_bytes
from thinkport.runtime.kv_snapshot import KvSnapshot
from thinkport.runtime.manifest import Graph, ModelShape
from thinkport.runtime.model import Model
from thinkport.runtime.session import Lane

_PROMPT, _TOKENS, _TURNS = "What is 86*57?", 48, 3
_WARM = 3  # steps before time is taken
_FEWEST = 8  # a shorter reply says nothing about speed


def noise(model: ModelShape, graph: Graph, tokens: int) -> KvSnapshot:
    """A KV cache of noise: speed does not depend on what it holds."""
    draw = np.random.default_rng()
    shape = (1, model.kv_heads, tokens, model.head_dim)
    if graph.kv.dtype == "int8":
        one = draw.integers(-127, 128, shape, np.int8)
    else:
        one = draw.standard_normal(shape, np.float32).astype(graph.kv.dtype)
    return KvSnapshot(parts=(one,) * (2 * model.layers))  # a lane copies it


def step_seconds(lane: Lane, steps: int, vocabulary: int) -> Iterator[float]:
    """Seconds of one decode step after the other."""
    for token in np.random.default_rng().integers(0, vocabulary, steps):
        ids = np.array([[token]], np.int64)
        start = perf_counter()
        lane.step(ids)
        yield perf_counter() - start


class Measured:
    """A loaded artifact under measurement."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.shape = model.manifest.model
        self.graph: Graph = getattr(model.session, "graph")  # noqa: B009 - a LaneSource of an artifact is a Session

    def lane(self, tokens: int) -> Lane:
        """A lane that holds `tokens` tokens and is warm."""
        lane = self.model.session.open_lane()
        lane.write(noise(self.shape, self.graph, tokens))
        for _ in step_seconds(lane, _WARM, self.shape.vocab_size):
            lane.trim(tokens)
        return lane

    def prefill(self, length: int) -> float:
        """Tokens per second of a prompt, in the pieces that the engine makes."""
        ids = np.random.default_rng().integers(0, self.shape.vocab_size, length).tolist()
        engine = self.model.engine()
        start = perf_counter()
        engine.prefill(ids)
        seconds = perf_counter() - start
        engine.close()
        return length / seconds

    def decode(self, context: int, steps: int) -> tuple[float, int | None]:
        """Tokens per second of bare steps over a cache of `context` tokens, and the private bytes meanwhile."""
        lane = self.lane(context)
        return 1 / median(step_seconds(lane, steps, self.shape.vocab_size)), private_bytes()

    def engine_share(self) -> float | None:
        """The speed of `model.stream` as a share of bare steps over the same contexts; None where replies are short.

        Both take turns and the best of each counts.
        """
        streamed, bare = [], []
        thinks = self.model.manifest.thinking is not None
        for seed in range(_TURNS):
            end = self.model.generate(_PROMPT, thinking=thinks, max_tokens=_TOKENS, seed=seed)
            tokens = end.thinking.tokens + end.answering.tokens
            if tokens < _FEWEST:
                return None
            streamed.append(tokens / (end.thinking.seconds + end.answering.seconds))
            lane = self.lane(end.prompt_tokens)
            bare.append(tokens / sum(step_seconds(lane, tokens, self.shape.vocab_size)))
        return max(streamed) / max(bare)


def main() -> None:
    """Measure and write."""
    folder, plan, launched = Path(sys.argv[1]), json.loads(sys.argv[2]), float(sys.argv[3])
    start = perf_counter()
    with Model.load(folder, threads=plan["threads"]) as model:
        facts: dict[str, Any] = {"load_s": perf_counter() - start}
        measured = Measured(model)
        model.engine().logits(np.zeros((1, 1), np.int64))
        facts |= {"first_token_s": time() - launched, "private_bytes": private_bytes()}
        facts["engine"] = f"onnxruntime {getattr(model.session, 'ort').__version__}"  # noqa: B009 - as above
        decoded = {context: measured.decode(context, plan["steps"]) for context in sorted(plan["contexts"])}
        facts["decode"] = {context: speed for context, (speed, _) in decoded.items()}
        facts["context_bytes"] = {context: memory for context, (_, memory) in decoded.items() if memory}
        facts["prefill"] = {length: measured.prefill(length) for length in plan["prefills"]}
        facts["engine_share"] = measured.engine_share() if plan["overhead"] else None
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
