"""What a benchmark measures. Knows lengths, threads and rounds; must not know engines."""

import json
from dataclasses import asdict, dataclass

from thinkport.runtime.errors import InputError
from thinkport.runtime.providers.ort import AUTO


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """Contexts that one token is decoded over, prompts' lengths, all in tokens, and how often.

    `steps` tokens are decoded at each context and their median counts; each of the `rounds` runs every contender once,
    in a new process, so that all of them see the machine's slow and fast minutes. Artifacts are loaded
    with `provider` and `cache_dir`, as `Model.load` takes them.
    """

    contexts: tuple[int, ...] = (128, 1024, 4096)
    prefills: tuple[int, ...] = (512,)
    threads: int = 2
    steps: int = 16
    rounds: int = 3
    overhead: bool = True
    provider: str = AUTO
    cache_dir: str | None = AUTO

    def __post_init__(self) -> None:
        for name, values in (("context", self.contexts), ("prefill", self.prefills)):
            if len(set(values)) < len(values) or (values and min(values) < 1):
                raise InputError(
                    f"--{name} is {','.join(map(str, values))}, expected different numbers, each 1 or more"
                )
        for name in ("threads", "steps", "rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} is {getattr(self, name)}, expected 1 or more")

    @property
    def longest(self) -> int:
        """The most tokens that a cache has to hold."""
        return max([*self.prefills, *(context + self.steps for context in self.contexts), 1])

    def for_worker(self) -> str:
        """The plan as the JSON that a worker takes as its last argument."""
        return json.dumps(asdict(self))
