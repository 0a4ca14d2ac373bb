"""The table at the end of an export. Knows rich and the report; measures nothing itself."""

import numpy as np
from rich.console import Console
from rich.table import Table

from thinkport.export.exporter import ExportReport
from thinkport.runtime.manifest import Graph, ModelShape


def show_report(report: ExportReport, console: Console) -> None:
    """Stages and seconds, peak memory, bytes, bits per weight, nodes, parity figures."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(report):
        table.add_row(name, value)
    console.print()
    console.print(table, highlight=False)


def _rows(report: ExportReport) -> list[tuple[str, str]]:
    manifest = report.manifest
    graph = manifest.graphs[0]
    size = sum(file.bytes for file in manifest.files.values())
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.seconds.items())
    rows = [
        ("artifact", str(report.folder)),
        ("seconds", f"{sum(report.seconds.values()):.1f} ({stages})"),
        ("peak memory", f"{report.peak_memory / 1e9:.2f} GB"),
        ("size", f"{size / 1e6:,.1f} MB in {len(manifest.files) + 1} files"),
        ("weights", f"{manifest.recipe.bits_per_weight:.2f} bits a weight ({manifest.recipe.name})"),
        ("KV cache", _cache(manifest.model, graph)),
        ("nodes", f"{manifest.passes[0].nodes_before:,} traced, {graph.nodes:,} in {graph.file}"),
    ]
    return rows + _figures(report)


def _cache(model: ModelShape, graph: Graph) -> str:
    numbers = 2 * model.layers * model.kv_heads * model.head_dim
    return f"{graph.kv.dtype}, {numbers * np.dtype(graph.kv.dtype).itemsize / 1e3:,.1f} KB a token"


def _figures(report: ExportReport) -> list[tuple[str, str]]:
    certificate = report.manifest.certificate
    if certificate is None:
        return [("against fp32", "not measured (--no-certificate)")]
    return [
        (
            "against fp32",
            f"KL {figure.kl_mean:.2g} nats mean, {figure.kl_p95:.2g} p95; top-1 agreement {figure.top1_agreement:.1%}; "
            f"largest logit error {figure.max_relative_error:.1e} of the largest logit; {figure.tokens} tokens",
        )
        for figure in certificate.figures
    ]
