"""How export and loading grow with a model: `python by_size.py CHECKPOINT... --out FOLDER`.

Writes `by_size.json` and `by_size.png`. Speed and memory here don't depend on what weights are worth, so checkpoints of
zeros do. Where the figures lie in the folder already they are kept, and only sizes that are missing are measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from thinkport.deploy.bench.machine import this_machine
from thinkport.deploy.cold_start import cold_start
from thinkport.runtime.providers.kernels import AUTO, OFF

KIB = 1024


@dataclass(frozen=True, kw_only=True)
class Growth:
    """One checkpoint: bytes of its weights and of the artifact, seconds, and bytes of memory.

    Exported for the CPU with `int8` and without a certificate; loaded in a fresh process for the first time,
    which computes the sha256 of its files for the first of the kernels, and once more. `kernels` are as `Model.load`
    takes them.
    """

    name: str
    kernels: str = OFF
    checkpoint_bytes: int
    artifact_bytes: int
    export_seconds: float
    export_peak_bytes: int
    first_load_seconds: float
    load_seconds: float
    first_token_seconds: float
    private_bytes: int


def measure(checkpoint: Path, threads: int, kernels: Sequence[str]) -> Iterator[Growth]:
    """Export to a temporary folder and load from it, with each of the kernels."""
    with tempfile.TemporaryDirectory(dir=checkpoint.parent) as scratch:
        artifact = Path(scratch, "artifact")
        seconds, peak = exported(checkpoint, artifact)
        for asked in kernels:
            first = cold_start(artifact, threads=threads, kernels=asked)
            again = cold_start(artifact, threads=threads, kernels=asked)
            memory = again.memory_first_token
            assert memory is not None
            yield Growth(
                name=checkpoint.name,
                kernels=asked,
                checkpoint_bytes=sum(file.stat().st_size for file in checkpoint.glob("*.safetensors")),
                artifact_bytes=sum(file.stat().st_size for file in artifact.iterdir()),
                export_seconds=seconds,
                export_peak_bytes=peak,
                first_load_seconds=first.load_seconds,
                load_seconds=again.load_seconds,
                first_token_seconds=again.first_token,
                private_bytes=memory.private,
            )


def exported(checkpoint: Path, artifact: Path) -> tuple[float, int]:
    """Seconds and peak bytes of an export's own process, as the system counts them."""
    options = ("--target", "cpu", "--recipe", "int8", "--no-certificate", "--quiet")
    command = [sys.executable, "-m", "thinkport.runtime", "export", str(checkpoint), "-o", str(artifact), *options]
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # it is waited for; subprocess need not look for it
    if child.returncode:
        raise SystemExit(f"the export of {checkpoint} ended with {child.returncode}")
    return time.monotonic() - began, usage.ru_maxrss * KIB


def draw(found: list[Growth], path: Path) -> None:
    """A PNG of three panels, each over the artifact's size, all axes linear."""
    figure = Figure(figsize=(12, 4.5), dpi=125, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(this_machine().title, fontsize="medium")
    left, middle, right = figure.subplots(1, 3)
    kinds = {kernels: [one for one in found if one.kernels == kernels] for kernels in {one.kernels for one in found}}
    for kernels, dashes in zip(sorted(kinds), ("-", "--"), strict=False):
        rows, name = kinds[kernels], "ONNX Runtime's kernels" if kernels == OFF else "thinkport's kernels"
        sizes = [one.artifact_bytes / 1e9 for one in rows]
        left.plot(sizes, [one.export_seconds for one in rows], marker="o", color="#0072B2", linestyle=dashes)
        peak = [one.export_peak_bytes / 1e9 for one in rows]
        middle.plot(sizes, peak, marker="o", color="#0072B2", linestyle=dashes, label="export, peak")
        private = [one.private_bytes / 1e9 for one in rows]
        middle.plot(sizes, private, marker="s", color="#D55E00", linestyle=dashes, label=f"loaded, private, {name}")
        for field, marker, label in (("load_seconds", "s", "load"), ("first_token_seconds", "o", "to first token")):
            right.plot(
                sizes, [getattr(one, field) for one in rows], marker=marker, linestyle=dashes, label=f"{label}, {name}"
            )
    left.set(title="export", ylabel="seconds")
    middle.set(title="memory", ylabel="GB")
    right.set(title="loading, not the first time", ylabel="seconds")
    for axes in (left, middle, right):
        if axes is not left:
            axes.legend(frameon=False, fontsize="small")
        axes.set(xlabel="artifact (GB)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    figure.savefig(path, format="png")


def main() -> None:
    """Measure what is missing, write it after each size, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kernels", nargs="+", default=[AUTO, OFF], help=f"{AUTO}, {OFF} or a set")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "by_size.json"
    found = [Growth(**one) for one in json.loads(record.read_text())] if record.exists() else []
    for checkpoint in options.checkpoints:
        known = {one.kernels for one in found if one.name == checkpoint.name}
        missing = [kernels for kernels in options.kernels if kernels not in known]
        for one in measure(checkpoint, options.threads, missing) if missing else ():
            found = sorted([*found, one], key=lambda row: (row.artifact_bytes, row.kernels))
            record.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")
            print(one)
    draw(found, options.out / "by_size.png")


if __name__ == "__main__":
    main()
