"""Whether a window stays alive beside a model: `python timer.py ARTIFACT`.

A timer of 60 Hz runs in the main thread while another one loads an artifact, runs a prompt, decodes, and loads again;
prints how late its ticks come, as a table in Markdown.
"""

import argparse
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Thread
from time import perf_counter, sleep

from thinkport.deploy.bench.machine import this_machine
from thinkport.runtime import Model, Sampler, SamplingSettings

TICK = 1 / 60
PROMPT = "word and more, " * 150


@dataclass
class Work:
    """What the other thread does now; the ticks of each phase with the seconds that they came late."""

    artifact: Path
    tokens: int
    phase: str = "load"
    prompted: int = 0
    late: dict[str, list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """Load, prefill, decode, reload."""
        with Model.load(self.artifact) as model:
            ids, engine = model.tokenizer.encode(PROMPT), model.engine()
            self.phase, self.prompted = "prefill", len(ids)
            engine.prefill(ids)
            self.phase = "decode"
            list(engine.generate(ids, Sampler(SamplingSettings(temperature=0)), max_tokens=self.tokens))
            self.phase = "reload"
            model.unload()
            model.reload()

    def watch(self) -> None:
        """Tick until all is done."""
        thread = Thread(target=self.run)
        thread.start()
        due = perf_counter() + TICK
        while thread.is_alive():
            sleep(max(0.0, due - perf_counter()))
            self.late.setdefault(self.phase, []).append(perf_counter() - due)
            due = max(due + TICK, perf_counter())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--tokens", type=int, default=75, help="of the reply")
    work = Work(**vars(parser.parse_args()))
    work.watch()
    print(f"{this_machine().title}; {work.prompted} tokens of prompt, {work.tokens} of reply\n")
    print("| | ticks | mean | worst |\n|---|---|---|---|")
    for name, late in [*work.late.items(), ("all", [*chain.from_iterable(work.late.values())])]:
        print(f"| {name} | {len(late)} | {1e3 * sum(late) / len(late):.1f} ms | {1e3 * max(late):.0f} ms |")


if __name__ == "__main__":
    main()
