"""What `thinkport bench` does, once its options are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from thinkport.deploy.bench.bandwidth import read_bandwidth
from thinkport.deploy.bench.benchmark import Benchmark, measure
from thinkport.deploy.bench.clients import measure_clients
from thinkport.deploy.bench.contender import KERNELS, BenchPlan, Contender
from thinkport.deploy.bench.drafting import measure_drafts
from thinkport.deploy.bench.machine import this_machine
from thinkport.deploy.bench.profiling import profile
from thinkport.deploy.bench.table_view import show_benchmark, show_clients, show_drafts, show_profile
from thinkport.deploy.outputs import Outputs
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, fingerprint, read_manifest
from thinkport.runtime.artifact.task_check import check_replies
from thinkport.runtime.errors import InputError
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import choose_candidate, import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins


def run_bench(
    artifact: Path, plan: BenchPlan, outputs: Outputs, *, against: Sequence[str], recipes: Path | None
) -> None:
    """Check all before minutes of work, measure the bandwidth and the contenders, and write.

    Raises:
        InputError: an artifact that writes no replies, a provider that is not in it or not installed, kernels that
            can't be had here, or an output that can't be written.
        ArtifactError: the artifact is broken, or nothing of it runs here.
    """
    ort, manifest = import_onnxruntime(), read_manifest(artifact)
    check_replies(manifest)
    available = ort.get_available_providers()
    choose_candidate(manifest.graphs, plan.provider, available, ort.__version__, Plugins(ort))
    Kernels.here(plan.kernels)
    outputs.check()
    own, machine = Contender.parse(str(artifact)), this_machine()
    others = [*against, *_recipes(artifact, recipes)]
    contenders = [own, *(own.with_kernels(one) if one.startswith(KERNELS) else Contender.parse(one) for one in others)]
    bandwidth = read_bandwidth(plan.threads, machine.hardware)
    with _progress() as told:
        rows = measure(contenders, plan, told)
    bench = Benchmark(machine=machine, bandwidth=bandwidth, plan=plan, rows=rows)
    if outputs.plot:
        from thinkport.deploy.bench.plot import save_front, save_growth

        (save_growth if recipes is None else save_front)(bench, outputs.plot)
    outputs.write(
        {"thinkport": version("thinkport"), **bench.as_json()}, lambda console: show_benchmark(console, bench)
    )


def run_profile(artifact: Path, plan: BenchPlan, outputs: Outputs) -> None:
    """Profile a decode step at each context, and write."""
    found = [profile(artifact, plan, context) for context in plan.contexts]
    facts = {**_facts(artifact), "profiles": [asdict(entry) for entry in found]}
    outputs.write(facts, lambda console: show_profile(console, this_machine(), found))


def run_drafts(artifact: Path, plan: BenchPlan, outputs: Outputs) -> None:
    """Measure what drafts gain, and write."""
    check_replies(read_manifest(artifact))
    with _progress() as told:
        found = measure_drafts(artifact, plan, told)
    facts = {**_facts(artifact), "drafts": [vars(gain) for gain in found]}
    outputs.write(facts, lambda console: show_drafts(console, this_machine(), found))


def run_clients(artifact: Path, plan: BenchPlan, outputs: Outputs) -> None:
    """Measure what several clients get at the same time, and write."""
    check_replies(read_manifest(artifact))
    with _progress() as told:
        found = measure_clients(artifact, plan, told)
    facts = {**_facts(artifact), "plan": asdict(plan), **asdict(found)}
    outputs.write(facts, lambda console: show_clients(console, this_machine(), found))


def _recipes(artifact: Path, folder: Path | None) -> list[str]:
    """The artifacts in a folder, without the one that is measured anyway."""
    if folder is None:
        return []
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    if not found:
        raise InputError(f"{folder} holds no artifact: export the checkpoint to folders in it, a recipe each")
    return [str(path) for path in found if path.resolve() != artifact.resolve()]


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is measured now."""
    with Console(stderr=True, highlight=False, markup=False).status("") as status:
        yield status.update


def _facts(artifact: Path) -> Mapping[str, Any]:
    """What was measured, and on what."""
    return {"artifact": str(artifact), "sha256": fingerprint(artifact), "machine": this_machine().as_json()}
