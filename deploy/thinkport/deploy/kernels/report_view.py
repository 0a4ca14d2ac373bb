"""How kernel reports look in a terminal: one table a graph, what leaves first, without rules when piped."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from thinkport.deploy.kernels.report import KernelReport, KernelRow, Place
from thinkport.deploy.tables import section, text_table

_WHERE: Mapping[Place, str] = {
    "refused": "refused",
    "leaves": "CPU, unwanted",
    "allowed": "CPU, planned",
    "kept": "CPU, by ORT",
    "runs": "runs",
}


def show_kernels(console: Console, reports: Mapping[str, KernelReport]) -> None:
    """Write the report of each graph, by its file name."""
    for name, report in reports.items():
        of = report.kernels
        section(console, f"{name} on {of.package} {of.version}, {of.provider}", _body(report, console))


def _body(report: KernelReport, console: Console) -> RenderableType:
    table = text_table(console, "op")
    table.add_column("nodes", justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True)
    for row in report.rows:
        table.add_row(row.op, str(row.count), _WHERE[row.place])
    explained = [_why(row) for row in report.rows if row.reasons]
    return Group(table, "", *explained, Text(summary(report)), Text(f"kernels: {report.kernels.source}", style="dim"))


def _why(row: KernelRow) -> RenderableType:
    first = f", first {row.example}" if row.place in ("refused", "leaves") else ""
    reasons = [Padding(Text(f"- {reason}"), (0, 0, 0, 2)) for reason in row.reasons]
    return Group(Text(f"{row.op}, {_WHERE[row.place]}{first}:"), *reasons, "")


def summary(report: KernelReport) -> str:
    """The result in a sentence."""
    count, leaving = len(report.verdicts), len(report.leaving)
    if leaving:
        return f"{leaving} of {count} nodes would not run on {report.kernels.provider}"
    beside = sum(verdict.place in ("allowed", "kept") for verdict in report.verdicts)
    rest = f", {beside} of them beside it on the CPU" if beside else ""
    return f"all {count} nodes run where they should{rest}"
