"""What the export's verbs show: stages while they run, an export's report, and the recipes. Measures nothing itself."""

from typing import TYPE_CHECKING, Self

from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from thinkport.deploy.certificate_view import bounds, verdict_text
from thinkport.deploy.contents import file_count
from thinkport.export.progress import Listener
from thinkport.export.quantize.recipes import BESIDE_KEPT, DEFAULT_RECIPES, KEPT, RECIPES
from thinkport.runtime.artifact.certificate import Figure
from thinkport.runtime.artifact.manifest import Graph, Manifest, Task, kv_bytes
from thinkport.runtime.artifact.verdict import (
    Grade,
    score_words,
    vector_words,
    verdict_of_artifact,
    verdict_of_graph,
)

if TYPE_CHECKING:
    from thinkport.export.exporter import ExportReport


def show_report(report: "ExportReport", console: Console) -> None:
    """Stages and seconds, peak memory, bytes, bits per weight, nodes, parity figures."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(report):
        table.add_row(name, value)
    console.print()
    console.print(table, highlight=False)
    console.print()
    console.print(Text(_conclusion(report)), highlight=False, soft_wrap=True)


def show_recipes() -> None:
    """One row a recipe on stdout."""
    default = {
        name: f" (default of --precision {precision})" for precision, name in DEFAULT_RECIPES.items() if precision
    }
    default[DEFAULT_RECIPES[None]] = " (default)"
    table = Table("recipe", "what it is", box=None, header_style="bold", pad_edge=False)
    for recipe in RECIPES.values():
        table.add_row(recipe.name + default.get(recipe.name, ""), recipe.summary)
    told = f"default of a quantized checkpoint: its own integers, and the rest by {BESIDE_KEPT}"
    table.add_row(KEPT, told)
    Console().print(table)
    Console().print(f"All but {KEPT} turn hidden states first, which lowers the error of rounding.", highlight=False)


def _rows(report: "ExportReport") -> list[tuple[str, str | Text]]:
    manifest = report.manifest
    size = sum(file.bytes for file in manifest.files.values())
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.seconds.items())
    rows: list[tuple[str, str | Text]] = [
        ("artifact", str(report.folder)),
        ("seconds", f"{sum(report.seconds.values()):.1f} ({stages})"),
        ("peak memory", f"{report.peak_memory / 1e9:.2f} GB"),
        ("size", f"{size / 1e6:,.1f} MB in {file_count(manifest)} files"),
        ("weights", f"{manifest.recipe.bits_per_weight:.2f} bits a weight ({manifest.recipe.name})"),
        *(("", note) for note in manifest.recipe.notes),
        *_purpose(report),
        *(("checkpoint", note) for note in report.notes),
        ("traced", f"{manifest.passes[0].nodes_before:,} nodes"),
    ]
    if report.left_out:
        names = ", ".join(report.left_out)
        rows.append(
            ("left out", f"graphs for {names}, which can't run a mixture of experts: no graph of one was checked there")
        )
    rows += _plainly(manifest)
    return [*rows, *((graph.file, _graph(manifest, graph)) for graph in manifest.graphs), *_figures(report)]


_MEANINGS = {
    Grade.CLOSE: "It replies as the checkpoint does",
    Grade.USABLE: "It replies much as the checkpoint does, and not the same",
    Grade.DAMAGED: "Its replies are worse than the checkpoint's",
}
_NEXT = {
    Task.CHAT: "thinkport chat {folder}",
    Task.EMBEDDING: "thinkport embed {folder} FILE",
    Task.RERANK: "thinkport rerank {folder} QUERY FILE",
}


def _conclusion(report: "ExportReport") -> str:
    """What the figures mean, and the command to go on with."""
    certificate, task = report.manifest.certificate, report.manifest.task
    said = "It was not held against the checkpoint"
    if certificate is not None:
        said = "It was held against the checkpoint, and its figures stand above"
        if certificate.figures and task is Task.CHAT:
            said = _MEANINGS[verdict_of_artifact(certificate).worst]
    folder = str(report.folder)
    next_command = _NEXT[task].format(folder=f'"{folder}"' if " " in folder else folder)
    return f"{said}. Next: {next_command}"


def _purpose(report: "ExportReport") -> list[tuple[str, str | Text]]:
    """What it is for: how texts are embedded or scored, or how replies think and end."""
    embedding, reranking = report.manifest.embedding, report.manifest.reranking
    if embedding is not None:
        ends = f"{len(embedding.start_ids)} tokens before and {len(embedding.end_ids)} behind a text"
        own = "no instruction of its own" if embedding.instruction is None else f"instruction: {embedding.instruction}"
        return [("task", f"embedding: vectors of {embedding.dimensions}, {ends}; {own}")]
    if reranking is not None:
        return [("task", f"rerank: ids {reranking.yes_id} and {reranking.no_id}; instruction: {reranking.instruction}")]
    return [("a reply ends at", ", ".join(map(str, report.stops))), ("thinking", report.thinking)]


def _plainly(manifest: Manifest) -> list[tuple[str, str]]:
    """What a calibrated recipe could not calibrate, by role."""
    found = {role: stored.rounded_plainly for role, stored in manifest.recipe.roles.items() if stored.rounded_plainly}
    return [
        (f"{role} rounded plainly", f"{count} tensors, which hardly any token of the calibration texts reached")
        for role, count in found.items()
    ]


def _graph(manifest: Manifest, graph: Graph) -> str:
    return (
        f"{graph.nodes:,} nodes in {graph.activations}, KV cache {graph.kv.dtype}, "
        f"{kv_bytes(manifest.model, graph.kv) / 1e3:,.1f} KB a token; "
        f"{graph.providers[0].removesuffix('ExecutionProvider')} of ONNX Runtime {graph.onnxruntime_floor} or newer"
    )


def _figures(report: "ExportReport") -> list[tuple[str, str | Text]]:
    certificate = report.manifest.certificate
    if certificate is None:
        return [("against fp32", "not measured (--no-certificate)")]
    vectors = [(_against_fp32(figure.graph), vector_words(figure)) for figure in certificate.vectors or ()]
    if vectors:
        return [*vectors]
    scores = [(_against_fp32(figure.graph), score_words(figure)) for figure in certificate.scores or ()]
    return [*map(_against, certificate.figures), *scores, ("verdict", verdict_text(certificate))]


def _against(figure: Figure) -> tuple[str, str | Text]:
    text = (
        f"{verdict_of_graph(figure)}: KL {figure.kl_mean:.2g} nats mean ({bounds(figure)}), {figure.kl_p95:.2g} p95; "
        f"same top token {figure.top1_agreement:.1%}; logits correlate {figure.correlation:.3f}; "
        f"{figure.tokens} positions"
    )
    return _against_fp32(figure.graph), f"{text}; {figure.changed}" if figure.changed else text


def _against_fp32(graph: str) -> str:
    return f"{graph.removesuffix('.onnx')} against fp32"


WORDS = {
    "open": "Opening the checkpoint",
    "trace": "Tracing the model",
    "calibrate": "Measuring keys and values",
    "weigh": "Weighing the matrices",
    "fuse": "Fusing the graph",
    "weights": "Writing the weights",
    "graph": "Writing the graph",
    "certify": "Holding it against the checkpoint",
    "manifest": "Writing the manifest",
}


class _Bytes(progress.DownloadColumn):
    """Bytes done of all; nothing for a stage whose size nobody knows."""

    def render(self, task: progress.Task) -> Text:
        return Text() if task.total is None else super().render(task)


class ProgressView(Listener):
    """A listener of an export, and a context manager that takes the screen; a pipe gets a line a stage."""

    _task: progress.TaskID  # of the stage that runs

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = progress.Progress(
            progress.TextColumn("{task.description}", justify="left"),
            progress.BarColumn(bar_width=24),
            _Bytes(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def start(self, stage: str, total: int | None) -> None:
        """Show a stage; one of unknown size pulses."""
        self._task = self._progress.add_task(WORDS.get(stage, stage), total=total)

    def advance(self, done: int) -> None:
        """Move the current stage's bar."""
        self._progress.advance(self._task, done)

    def resize(self, total: int) -> None:
        """Give the current stage's bar its size."""
        self._progress.update(self._task, total=total)

    def stop(self, stage: str, seconds: float) -> None:
        """Turn the stage's bar into a line that stays."""
        self._progress.remove_task(self._task)
        self._console.print(f"{WORDS.get(stage, stage)} [dim]{seconds:.1f} s[/dim]", highlight=False)
