"""What a check of a graph found: a verdict a node, and the sentences for those that would leave the provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from thinkport.deploy.kernels.kernel_list import KernelList

# runs: on the provider. kept: ONNX Runtime leaves it on the CPU on purpose. allowed: the plan lets it go to the CPU.
# leaves: it goes to the CPU unwanted. refused: the graph does not load, fails, or computes something else.
Place = Literal["runs", "kept", "allowed", "leaves", "refused"]
PLACES: tuple[Place, ...] = ("refused", "leaves", "allowed", "kept", "runs")
_UNWANTED: Mapping[Place, str] = {"leaves": "would leave for the CPU", "refused": "can't run as it should"}


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
            f"{_UNWANTED[row.place]} on {self.kernels.package} {self.kernels.version}: {'; '.join(row.reasons)}"
            for row in self.rows
            if row.place in _UNWANTED
        ]

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        head = {name: getattr(self.kernels, name) for name in ("target", "provider", "package", "version", "source")}
        return head | {"leaving": len(self.leaving), "rows": [vars(row) for row in self.rows]}
