"""What drafts gain: given replies are run through the engine with drafts and without.

The words of a reply decide which guesses are right; the graph decides what a step costs. The two are separate, so a
model with made-up weights tells as much as a trained one. Each token is sampled as usual, and then replaced by the
given one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from thinkport.deploy.bench.contender import BenchPlan
from thinkport.deploy.bench.draft_texts import TEXTS, DraftText
from thinkport.runtime.engine.draft_policy import DraftPolicy
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.generation import Generation
from thinkport.runtime.engine.sampling import Row, Sampler, SamplingSettings
from thinkport.runtime.errors import InputError
from thinkport.runtime.model import Model
from thinkport.runtime.providers.trials import finish_trials


@dataclass(frozen=True, kw_only=True)
class DraftGain:
    """A reply of `tokens` tokens: tokens per second without and with drafts, the medians of the rounds.

    `gain` is the median of the rounds' ratios, each of two runs one after the other; `drafted` and `accepted` are
    tokens of the last round's reply.
    """

    name: str
    tokens: int
    plain: float
    with_drafts: float
    gain: float
    drafted: int
    accepted: int


class _Given(Sampler):
    """Samples each token as usual, and then returns the next one of a given reply instead."""

    def __init__(self, settings: SamplingSettings, reply: Sequence[int]) -> None:
        super().__init__(settings, seed=0)
        self._reply = iter(reply)

    def draw(self, logits: Row) -> int:
        """The given one."""
        super().draw(logits)
        return next(self._reply)


def measure_drafts(artifact: Path, plan: BenchPlan, told: Callable[[str], None] = lambda _: None) -> list[DraftGain]:
    """Time every text in each of the plan's rounds with and without drafts; `told` is called with what comes next.

    Raises:
        InputError: the artifact's graph takes one token at a time, or its context is too short for a text.
        ArtifactError: the artifact is broken.
    """
    finish_trials(artifact, plan.provider)
    with Model.load(artifact, threads=plan.threads, provider=plan.provider, kernels=plan.kernels) as model:
        if not model.session.several_tokens_over_past:
            raise InputError(f"no guessing ahead here: {model.provider_report.reason}; it takes one token a step")
        return [_gain(model, text, plan.rounds, told) for text in TEXTS]


def _gain(model: Model, text: DraftText, rounds: int, told: Callable[[str], None]) -> DraftGain:
    prompt, reply = model.tokenizer.encode(text.prompt), model.tokenizer.encode(text.reply)
    if len(prompt) + len(reply) > model.session.context_length:
        raise InputError(f"the context holds {model.session.context_length} tokens, {text.name} takes more")
    runs: list[tuple[float, float, Generation]] = []
    for turn in range(rounds):
        told(f"round {turn + 1} of {rounds}: {text.name}")
        order = (False, True) if turn % 2 == 0 else (True, False)
        found = {drafts: _run(model, prompt, reply, drafts=drafts) for drafts in order}
        runs.append((found[False][0], found[True][0], found[True][1]))
    plain, drafted, replies = zip(*runs, strict=True)
    return DraftGain(
        name=text.name,
        tokens=len(reply),
        plain=median(plain),
        with_drafts=median(drafted),
        gain=median(faster / slower for slower, faster, _ in runs),
        drafted=replies[-1].drafted,
        accepted=replies[-1].accepted,
    )


def _run(model: Model, prompt: list[int], reply: list[int], *, drafts: bool) -> tuple[float, Generation]:
    """Tokens per second of a reply after its first token, in a conversation of its own."""
    settings = SamplingSettings.from_preset(model.manifest.sampling.answering)
    engine = Engine(model.session, policy=DraftPolicy())
    tokens = engine.generate(prompt, _Given(settings, reply), max_tokens=len(reply), drafts=drafts)
    next(tokens)
    began = perf_counter()
    count = sum(1 for _ in tokens)
    speed = count / (perf_counter() - began)
    engine.reset()
    return speed, tokens
