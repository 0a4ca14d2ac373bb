"""Holds every node of a graph against a target's kernels: which run there, which would leave, which are refused.

What ONNX Runtime does when it loads a graph, in its order: the model's own check (operators, inputs, attributes), a
kernel for each node, and the nodes that it keeps on the CPU although there is one. Neither are graph rewrites followed
nor operators that are functions opened: every node must be able to run as it is written.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from thinkport.deploy.kernels.cpu_preferred import cpu_preferred
from thinkport.deploy.kernels.dtypes import find_dtypes, plain
from thinkport.deploy.kernels.graph_file import Node, NodeGraph, read_graph
from thinkport.deploy.kernels.kernel_list import Kernel, KernelList, Schema, kernel_list
from thinkport.deploy.kernels.report import KernelReport, NodeVerdict, Place
from thinkport.deploy.kernels.requirements import REQUIREMENTS
from thinkport.deploy.targets import CPU, TARGETS


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """An operator whose nodes may go to the CPU on a target, and why that is wanted."""

    target: str
    op: str
    domain: str = ""
    because: str


ALLOWED = tuple(
    Allowed(
        target=entry.name,
        op="GatherBlockQuantized",
        domain="com.microsoft",
        because="one row of the table a token is cheap there, and the GPU holds no second table; no graph capture",
    )
    for entry in TARGETS.values()
    if not entry.quantized_embedding
)


def check(
    model: Path | bytes, target: str, *, version: str | None = None, allowed: Collection[Allowed] = ALLOWED
) -> KernelReport:
    """Say of every node where it would run.

    Args:
        model: an `.onnx` file, or its bytes; its external data is not opened.
        target: whose provider, by a name of `TARGETS`.
        version: the ONNX Runtime to hold it against; without one, the oldest that the target has a list of.
        allowed: the nodes that may go to the CPU; none of them for a graph that is to be captured.

    Raises:
        ArtifactError: no graph can be read there.
        InputError: no kernels are known for that target and version.
    """
    kernels = kernel_list(target, version)
    graph = read_graph(model)
    return _Check(graph=graph, kernels=kernels, allowed=allowed).report()


@dataclass(frozen=True, kw_only=True)
class _Check:
    graph: NodeGraph
    kernels: KernelList
    allowed: Collection[Allowed]

    def report(self) -> KernelReport:
        dtypes = find_dtypes(self.graph, self.kernels)
        verdicts = [self._verdict(node, dtypes) for node in self.graph.nodes]
        if self.kernels.target != CPU.name:
            verdicts = self._keep(verdicts, dtypes)
        return KernelReport(
            target=self.kernels.target,
            provider=self.kernels.provider,
            package=self.kernels.package,
            version=self.kernels.version,
            source=self.kernels.source,
            verdicts=tuple(verdicts),
        )

    def _verdict(self, node: Node, dtypes: Mapping[str, str]) -> NodeVerdict:
        opset = self.graph.opsets.get(node.domain, 0)
        schema = self.kernels.schema(node.domain, node.op, opset)
        broken = [
            (entry.consequence, f"{found}; {entry.because}")
            for entry in REQUIREMENTS
            if entry.concerns(self.kernels.target, self.kernels.version, node)
            and (found := entry.condition(node, dtypes)) is not None
        ]
        refusals = list(_schema_refusals(node, schema, opset, self.kernels, dtypes))
        refusals += [reason for consequence, reason in broken if consequence != "leaves"]
        if refusals or schema is None:
            return _verdict(node, "refused", refusals)
        departures = [reason for consequence, reason in broken if consequence == "leaves"]
        departures += _kernel_departures(node, schema, self.kernels, dtypes)
        return self._departing(node, schema, departures, dtypes) if departures else _verdict(node, "runs", [])

    def _departing(self, node: Node, schema: Schema, why: list[str], dtypes: Mapping[str, str]) -> NodeVerdict:
        if self.kernels.target == CPU.name:
            return _verdict(node, "refused", why)
        cpu = kernel_list(CPU.name, self.kernels.version)
        if missing := _kernel_departures(node, schema, cpu, dtypes):
            return _verdict(node, "refused", [*why, *missing])
        key = (self.kernels.target, node.domain, node.op)
        plans = [entry.because for entry in self.allowed if (entry.target, entry.domain, entry.op) == key]
        return _verdict(node, "allowed" if plans else "leaves", [*why, *plans])

    def _keep(self, verdicts: list[NodeVerdict], dtypes: Mapping[str, str]) -> list[NodeVerdict]:
        """ONNX Runtime's own choice comes after its kernels: of those that could run, some stay on the CPU."""
        runs = [verdict.place == "runs" for verdict in verdicts]
        kept = cpu_preferred(self.graph, runs, dtypes)
        reason = "ONNX Runtime keeps what is computed from shapes alone beside them (fallback_cpu_capability.cc)"
        return [
            _verdict(node, "kept", [reason]) if at in kept else verdict
            for at, (node, verdict) in enumerate(zip(self.graph.nodes, verdicts, strict=True))
        ]


def _verdict(node: Node, place: Place, reasons: list[str]) -> NodeVerdict:
    return NodeVerdict(node=node.name or next(iter(node.outputs), ""), op=node.op, place=place, reasons=tuple(reasons))


def _schema_refusals(
    node: Node, schema: Schema | None, opset: int, kernels: KernelList, dtypes: Mapping[str, str]
) -> Iterator[str]:
    """What the model's own check would say, before any provider is asked."""
    runtime = f"ONNX Runtime {kernels.version}"
    if node.has_subgraph:
        yield "it holds a graph of its own, which this check does not look into"
    if schema is None:
        yield f"{runtime} has no such operator in {node.domain or 'ai.onnx'} {opset}"
        return
    for index in range(len(node.inputs)):
        formal = schema.input(index)
        if formal is None:
            yield f"it has {len(node.inputs)} inputs, and {runtime} knows {len(schema.inputs)}"
            break
        found = dtypes.get(node.inputs[index])
        if found and formal.type.startswith("tensor(") and found != plain(formal.type, {}):
            yield f"its {formal.name} is {found}, expected {plain(formal.type, {})}"
    missing = [
        formal.name
        for index, formal in enumerate(schema.inputs)
        if not (formal.optional or formal.variadic or node.has_input(index))
    ]
    missing += [name for name, required in schema.attributes.items() if required and name not in node.attributes]
    if missing:
        yield f"it lacks {', '.join(missing)}"
    if unknown := sorted(set(node.attributes) - set(schema.attributes)):
        yield f"{runtime} does not know its {', '.join(unknown)}"


def _kernel_departures(node: Node, schema: Schema, kernels: KernelList, dtypes: Mapping[str, str]) -> list[str]:
    """Why no kernel of the list takes the node, empty if one does: the closest kernel's reason."""
    where = f"{kernels.provider} of {kernels.version}"
    every = kernels.of(node.domain, node.op)
    if not every:
        return [f"{where} has no {node.op}"]
    covering = [kernel for kernel in every if kernel.covers(schema.since)]
    if not covering:
        return [f"{where} has {node.op} for versions {_versions(every)}, and the graph's is {schema.since}"]
    tries = [list(_misfits(node, schema, kernel, dtypes)) for kernel in covering]
    closest = min(tries, key=len)
    return [f"{where} takes {', '.join(closest)}"] if closest else []


def _misfits(node: Node, schema: Schema, kernel: Kernel, dtypes: Mapping[str, str]) -> Iterator[str]:
    """The inputs and outputs whose dtype a kernel does not take, or that can't be told."""
    formals = [(schema.input(index), name) for index, name in enumerate(node.inputs)]
    formals += [(schema.output(index), name) for index, name in enumerate(node.outputs)]
    for formal, name in formals:
        if formal is None or name == "" or (takes := kernel.types.get(formal.type)) is None:
            continue
        found = dtypes.get(name)
        if found not in takes:
            yield f"{formal.name} as {' or '.join(sorted(takes))}, not {found or 'a type that can not be told'}"


def _versions(kernels: Collection[Kernel]) -> str:
    spans = {(kernel.first, kernel.last) for kernel in kernels}
    return ", ".join(
        str(first) if last in (None, first) else f"{first}-{last}" for first, last in sorted(spans, key=str)
    )
