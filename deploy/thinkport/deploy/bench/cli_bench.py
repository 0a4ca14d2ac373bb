"""What `thinkport bench` does, once its options are read."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from thinkport.deploy.bench.bandwidth import read_bandwidth
from thinkport.deploy.bench.benchmark import Benchmark, measure
from thinkport.deploy.bench.contender import Contender
from thinkport.deploy.bench.drafting import measure_drafts
from thinkport.deploy.bench.machine import this_machine
from thinkport.deploy.bench.plan import BenchPlan
from thinkport.deploy.bench.profiling import profile
from thinkport.deploy.bench.table_view import show_benchmark, show_drafts, show_profile
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, fingerprint, read_manifest
from thinkport.runtime.errors import InputError
from thinkport.runtime.extras import require
from thinkport.runtime.machine.threads import physical_cores
from thinkport.runtime.providers.ort import choose_graph, import_onnxruntime


@dataclass(frozen=True, kw_only=True)
class RunsOn:
    """How artifacts are run: CPU `threads`, `provider` and `cache_dir` as `Model.load` takes them."""

    threads: int | None
    provider: str
    cache_dir: str | None

    def check(self, artifact: Path) -> None:
        """Refuse now, before a worker starts, what this machine does not have.

        Raises:
            InputError: the provider is not in the artifact, or not installed.
            ArtifactError: the artifact is broken, or nothing of it runs here.
        """
        graphs, ort = read_manifest(artifact).graphs, import_onnxruntime()
        choose_graph(graphs, self.provider, ort.get_available_providers(), ort.__version__)


@dataclass(frozen=True, kw_only=True)
class BenchOutputs:
    """Where figures go: JSON or tables on stdout, and a picture if asked for; of the front if there are recipes."""

    as_json: bool
    plot: Path | None

    def check(self) -> None:
        """Refuse now, before minutes of work, what can't be written.

        Raises:
            InputError: not a PNG file's name.
            MissingExtraError: a plot without matplotlib.
        """
        if self.plot:
            require("eval", "matplotlib")
            if self.plot.suffix.lower() != ".png" or self.plot.is_dir():
                raise InputError(f"the plot is {self.plot.name!r}, expected a file's name that ends in .png")
            self.plot.parent.mkdir(parents=True, exist_ok=True)


def run_bench(
    artifact: Path,
    *,
    context: str,
    prefill: str,
    runs_on: RunsOn,
    rounds: int,
    steps: int,
    against: Sequence[str],
    recipes: Path | None,
    overhead: bool,
    outputs: BenchOutputs,
) -> None:
    """Check all, measure the bandwidth and the contenders, and write."""
    plan = BenchPlan(
        contexts=lengths("context", context),
        prefills=lengths("prefill", prefill),
        threads=threads_of(runs_on.threads),
        rounds=rounds,
        steps=steps,
        overhead=overhead,
        provider=runs_on.provider,
        cache_dir=runs_on.cache_dir,
    )
    runs_on.check(artifact)
    outputs.check()
    contenders = [Contender.parse(text) for text in [str(artifact), *against, *_recipes(artifact, recipes)]]
    bandwidth = read_bandwidth(plan.threads)
    told = Console(stderr=True, highlight=False, markup=False)
    with told.status("") as status:
        rows = measure(contenders, plan, status.update)
    bench = Benchmark(machine=this_machine(), bandwidth=bandwidth, plan=plan, rows=rows)
    _write(bench, outputs, front=recipes is not None)


def run_profile(artifact: Path, *, context: str, runs_on: RunsOn, steps: int, as_json: bool) -> None:
    """Profile a decode step at each context, and write."""
    found = [
        profile(artifact, context=tokens, threads=threads_of(runs_on.threads), steps=steps, provider=runs_on.provider)
        for tokens in lengths("context", context)
    ]
    if as_json:
        _write_json({**_facts(artifact), "profiles": [entry.as_json() for entry in found]})
        return
    console = Console(highlight=False, markup=False)
    console.print(this_machine().title)
    for entry in found:
        console.print()
        show_profile(console, entry)


def run_drafts(artifact: Path, *, runs_on: RunsOn, rounds: int, as_json: bool) -> None:
    """Measure what drafts gain, and write."""
    told = Console(stderr=True, highlight=False, markup=False)
    with told.status("") as status:
        found = measure_drafts(
            artifact,
            threads=threads_of(runs_on.threads),
            rounds=rounds,
            provider=runs_on.provider,
            cache_dir=runs_on.cache_dir,
            told=status.update,
        )
    if as_json:
        _write_json({**_facts(artifact), "drafts": [gain.as_json() for gain in found]})
        return
    console = Console(highlight=False, markup=False)
    console.print(this_machine().title)
    console.print()
    show_drafts(console, found)


def lengths(name: str, text: str) -> tuple[int, ...]:
    """Numbers between commas; no text is no numbers.

    Raises:
        InputError: something else.
    """
    try:
        return tuple(int(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        raise InputError(f"--{name} is {text!r}, expected numbers between commas") from None


def threads_of(asked: int | None) -> int:
    """As many as asked for, or as a session takes."""
    return physical_cores() or 1 if asked is None else asked


def _recipes(artifact: Path, folder: Path | None) -> list[str]:
    """The artifacts in a folder, but the one that is measured anyway."""
    if folder is None:
        return []
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    if not found:
        raise InputError(f"{folder} holds no artifact: export the checkpoint to folders in it, a recipe each")
    return [str(path) for path in found if path.resolve() != artifact.resolve()]


def _write(bench: Benchmark, outputs: BenchOutputs, *, front: bool) -> None:
    if outputs.plot:
        from thinkport.deploy.bench.plot import save_front, save_growth

        (save_front if front else save_growth)(bench, outputs.plot)
    if outputs.as_json:
        _write_json({"thinkport": version("thinkport"), **bench.as_json()})
    else:
        show_benchmark(Console(highlight=False, markup=False), bench)


def _facts(artifact: Path) -> dict[str, Any]:
    """What was measured, and on what."""
    return {"artifact": str(artifact), "sha256": fingerprint(artifact), "machine": this_machine().as_json()}


def _write_json(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
