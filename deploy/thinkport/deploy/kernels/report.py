"""What a check of a graph found: a verdict a node, the sentences for those that would leave, and how it looks in a
terminal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from thinkport.deploy.kernels.kernel_list import KernelList
from thinkport.deploy.tables import section, text_table

# runs: on the provider. kept: ONNX Runtime leaves it on the CPU on purpose. allowed: the plan lets it go to the CPU.
# leaves: it goes to the CPU unwanted. refused: the graph does not load, fails, or computes something else.
Place = Literal["runs", "kept", "allowed", "leaves", "refused"]
PLACES: tuple[Place, ...] = ("refused", "leaves", "allowed", "kept", "runs")
_UNWANTED: Mapping[Place, str] = {"leaves": "would leave for the CPU", "refused": "can't run as it should"}
_WHERE: Mapping[Place, str] = {
    "refused": "refused",
    "leaves": "CPU, unwanted",
    "allowed": "CPU, planned",
    "kept": "CPU, by ORT",
    "runs": "runs",
}


@dataclass(frozen=True, kw_only=True)
class NodeVerdict:
    """Where one node runs; `reasons` are whole clauses, none where it simply runs."""

    node: str
    op: str
    place: Place
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class KernelRow:
    """Nodes with the same operator, place and reasons; `example` is the first one's name."""

    op: str
    place: Place
    reasons: tuple[str, ...]
    count: int
    example: str


@dataclass(frozen=True, kw_only=True)
class KernelReport:
    """A graph held against a provider's kernels in one version of ONNX Runtime."""

    kernels: KernelList
    verdicts: tuple[NodeVerdict, ...]

    @property
    def leaving(self) -> tuple[NodeVerdict, ...]:
        """The nodes that would not run where they should: those that leave unwanted, and those that are refused."""
        return tuple(verdict for verdict in self.verdicts if verdict.place in _UNWANTED)

    @property
    def rows(self) -> list[KernelRow]:
        """The verdicts, grouped, the gravest first."""
        groups: dict[tuple[str, Place, tuple[str, ...]], list[str]] = {}
        for each in self.verdicts:
            groups.setdefault((each.op, each.place, each.reasons), []).append(each.node)
        rows = [
            KernelRow(op=op, place=place, reasons=reasons, count=len(nodes), example=nodes[0])
            for (op, place, reasons), nodes in groups.items()
        ]
        return sorted(rows, key=lambda row: (PLACES.index(row.place), -row.count, row.op))

    @property
    def problems(self) -> list[str]:
        """One sentence for each kind of node that would leave or is refused; none if the graph is as it should be."""
        return [
            f"{row.op} {row.example!r}{f' and {row.count - 1} more' if row.count > 1 else ''} "
            f"{_UNWANTED[row.place]} on {self.kernels.build}: {'; '.join(row.reasons)}"
            for row in self.rows
            if row.place in _UNWANTED
        ]

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        head = {
            name: getattr(self.kernels, name)
            for name in ("target", "provider", "package", "version", "plugin", "source")
        }
        return head | {"leaving": len(self.leaving), "rows": [vars(row) for row in self.rows]}


def show_kernels(console: Console, reports: Mapping[str, KernelReport]) -> None:
    """Write the report of each graph, by its file name."""
    for name, report in reports.items():
        of = report.kernels
        section(console, f"{name} on {of.build}, {of.provider}", _body(report, console))


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
