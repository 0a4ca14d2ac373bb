"""Measures an artifact in thinkport's own runtime: loading, prefill, bare decode steps, and what the engine adds."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from thinkport.deploy.bench.talk import TalkPlan, TalkSeconds
from thinkport.deploy.cold_start import cold_start, process_memory
from thinkport.runtime.artifact.manifest import Graph, ModelShape, kv_width
from thinkport.runtime.engine.kv_cache import KvSnapshot, capacity_for
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.session import Lane
from thinkport.runtime.machine.huge_pages import advised_memory
from thinkport.runtime.model import Model
from thinkport.runtime.providers.ort import CPU
from thinkport.runtime.providers.trials import finish_trials

_PROMPT = "What is 86*57?"
_WARM = 3  # steps before time is taken
_PROMPTS = 2  # of each length, the faster counts: other engines are given two, of two sizes of pieces


def noise(model: ModelShape, graph: Graph, tokens: int) -> KvSnapshot:
    """A KV cache of noise: speed does not depend on what it holds."""
    draw = np.random.default_rng()
    shape = (1, model.kv_heads, tokens, kv_width(model, graph.kv))
    if graph.kv.dtype == "int8":
        one = draw.integers(-127, 128, shape, np.int8)
        if graph.kv.token_scales:
            one[..., model.head_dim :] = np.frombuffer(np.float32(0.01).tobytes(), np.int8)
    else:
        one = draw.standard_normal(shape, np.float32).astype(graph.kv.dtype)
    return KvSnapshot(parts=(one,) * (2 * model.layers))  # a lane copies it


def step_seconds(lane: Lane, steps: int, vocabulary: int) -> Iterator[float]:
    """The seconds of each decode step."""
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

    def kv_pages(self, tokens: int) -> tuple[int, int] | None:
        """How much a KV cache of so many tokens takes of memory advised to be huge pages, and how much of it is."""
        before, lane = advised_memory(), self.model.session.open_lane()
        lane.write(noise(self.shape, self.graph, tokens))
        return _more(before, advised_memory())

    def prefill(self, length: int) -> float:
        """Tokens per second of a prompt, in the chunks that the engine makes."""
        ids = np.random.default_rng().integers(0, self.shape.vocab_size, length).tolist()
        engine = self.model.engine()
        start = perf_counter()
        engine.prefill(ids)
        seconds = perf_counter() - start
        engine.close()
        return length / seconds

    def decode(self, context: int, steps: int) -> tuple[float, int | None]:
        """Tokens per second of bare steps over a cache of `context` tokens, and the private bytes during them."""
        lane = self.lane(context)
        speed = 1 / median(step_seconds(lane, steps, self.shape.vocab_size))
        memory = process_memory()
        return speed, memory.private if memory else None

    def talk(self, asked: TalkPlan) -> TalkSeconds:
        """A conversation over one KV cache, without drafts: what they gain depends on the text."""
        draw, greedy = np.random.default_rng(), Sampler(SamplingSettings(temperature=0))
        prompt, question = (draw.integers(0, self.shape.vocab_size, n).tolist() for n in (asked.prompt, asked.question))
        with closing(self.model.engine()) as engine:
            start = perf_counter()
            reply = engine.generate(prompt, greedy, max_tokens=asked.thought + asked.answer)
            ids = [next(reply).id]
            told = perf_counter()
            ids += [token.id for token in reply]
            replied = perf_counter()
            second = [*prompt, *(token for token in ids[asked.thought :] if token is not None), *question]
            next(engine.generate(second, greedy, max_tokens=1))
            return TalkSeconds(prompt=told - start, reply=replied - told, second=perf_counter() - replied)

    def device(self, context: int) -> dict[str, int] | None:
        """What `DeviceBytes` says of a step at a context; None where the KV cache is in the CPU's memory."""
        session = self.model.session
        size = session.kv_size
        if size.at_hand:
            return None
        given, returned = getattr(self.lane(context), "step_bytes")  # noqa: B009 - as above
        cache = size.token * capacity_for(context + 1, size.context, at_hand=False)
        bytes_there = {"cache": cache, "grown": size.bytes(context + 1)}
        return {"context": context, "given": given, "returned": returned, **bytes_there}


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Tokens per second of bare steps and of `Model.stream`, each the best of the rounds."""

    bare: float
    stream: float

    @property
    def share(self) -> float:
        """The stream's share of the bare rate; 1 would be no overhead."""
        return self.stream / self.bare


def measure_overhead(model: Model, prompt: str, *, tokens: int = 64, rounds: int = 5) -> Overhead:
    """Run a reply of `tokens` tokens, without thought or drafts, and as many bare steps, `rounds` times in turn.

    Both begin after `prompt`; sampling is the answering preset, and nothing stops a reply early.
    """
    endless = Model(
        model.manifest.model_copy(update={"stop_ids": []}), model.tokenizer, model.template, model.session, drafts=False
    )
    streams, bares = [], []
    for seed in range(rounds):
        end = endless.generate(prompt, max_tokens=tokens, thinking=False, seed=seed)
        streams.append((tokens - 1) / end.answering.seconds)
        lane = Measured(model).lane(end.prompt_tokens)
        bares.append((tokens - 1) / sum(step_seconds(lane, tokens - 1, model.session.vocab_size)))
    return Overhead(bare=max(bares), stream=max(streams))


def engine_name(model: Model) -> str:
    """ONNX Runtime's version, and the provider if it is not the CPU's, or the kernels if they are not its own."""
    chosen, session = model.provider_report.chosen, model.session
    name = f"onnxruntime {getattr(session, 'ort').__version__}"  # noqa: B009 - as above
    if chosen is not None and chosen.kernels is not None:
        return f"{name} with kernels {chosen.kernels}"
    if chosen is None or chosen.provider == CPU:
        return name
    number = "" if chosen.device is None else f":{chosen.device}"
    return f"{name} on {chosen.provider.removesuffix('ExecutionProvider').lower()}{number}"


def _more(before: tuple[int, int] | None, after: tuple[int, int] | None) -> tuple[int, int] | None:
    """What came to advised memory; None where nothing did, or the system doesn't say."""
    if before is None or after is None or after[0] <= before[0]:
        return None
    return after[0] - before[0], after[1] - before[1]


def main() -> None:
    """Measure and write."""
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    settings = {name: plan[name] for name in ("provider", "threads", "kernels")}
    finish_trials(folder, plan["provider"])  # else they would slow down what is measured, and change the graph
    start = cold_start(folder, **settings)
    memory = start.memory_first_token
    before = advised_memory()
    with Model.load(folder, **settings) as model:
        measured = Measured(model)
        loaded = advised_memory()
        weights, kv = _more(before, loaded), measured.kv_pages(max(plan["contexts"], default=1))
        decoded = {context: measured.decode(context, plan["steps"]) for context in sorted(plan["contexts"])}
        facts = {
            "import_s": start.imported,
            "load_s": start.load_seconds,
            "files_s": start.files_seconds,
            "first_token_s": start.first_token,
            "private_bytes": memory.private if memory else None,
            "graph": measured.graph.file,
            "weights_pages": weights,
            "kv_pages": kv,
            "device": measured.device(max(plan["contexts"], default=1)),
            "engine": engine_name(model),
            "decode": {context: speed for context, (speed, _) in decoded.items()},
            "context_bytes": {context: private for context, (_, private) in decoded.items() if private},
            "prefill": {n: max(measured.prefill(n) for _ in range(_PROMPTS)) for n in plan["prefills"]},
            "talk": asdict(measured.talk(TalkPlan(**plan["talk"]))) if plan["talk"] else None,
            "engine_share": measure_overhead(model, _PROMPT).share if plan["overhead"] else None,
        }
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
