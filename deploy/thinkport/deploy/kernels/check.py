"""Holds every node of a graph against a target's kernels: which run there, which would leave, which are refused.

It does what ONNX Runtime does when it loads a graph, in its order: the model's own check (operators, inputs,
attributes), a kernel for each node, and the nodes that it keeps on the CPU although there is one. It follows no graph
rewrites and expands no operators that are functions: every node must be able to run as it is written. The dtype of
every value follows from its operator's schema alone: ONNX's own inference stops at `com.microsoft` operators.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkport.deploy.kernels.graph_file import DTYPES, Node, NodeGraph, read_graph
from thinkport.deploy.kernels.kernel_list import Kernel, KernelList, Schema, kernel_list
from thinkport.deploy.kernels.report import KernelReport, NodeVerdict, Place
from thinkport.deploy.kernels.requirements import REQUIREMENTS
from thinkport.deploy.targets import CPU, TARGETS
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.errors import InputError

# Operators whose output type an attribute names: (attribute, the type without it).
_CHOSEN = {"Cast": ("to", None), "Constant": ("value", None), "ConstantOfShape": ("value", "float")}
_GIVES_CPU_MEMORY = ("Shape", "Size")
_SMALL = 100  # elements
_NEVER = ("float16", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1")

_COUNTS = "numbers of tokens are counted there from the mask, and one number a row goes to the GPU"

# Target, domain and operator of nodes that may go to the CPU, and why that is wanted.
Allowed = Mapping[tuple[str, str, str], str]
_CHEAP = "one row of the table a token is cheap there, and the GPU holds no second table; no graph capture"
ALLOWED: Allowed = {
    (entry.name, "com.microsoft", "GatherBlockQuantized"): _CHEAP
    for entry in TARGETS.values()
    if not entry.quantized_embedding
}


def find_dtypes(graph: NodeGraph, kernels: KernelList) -> Mapping[str, str]:
    """The dtype of each value (`float16`), where it can be told; nodes must be in order, as ONNX demands.

    A dtype that follows from the nodes overrides one that the file only notes, which may be a leftover.
    """
    found = dict(graph.dtypes)
    for node in graph.nodes:
        schema = kernels.schema(node.domain, node.op, graph.opsets.get(node.domain, 1))
        bound: dict[str, str] = {}
        for index, name in enumerate(node.inputs):
            formal = schema.input(index) if schema else None
            if formal and formal.homogeneous and name in found and "(" not in formal.type:
                bound.setdefault(formal.type, found[name])
        for index, name in enumerate(node.outputs):
            formal = schema.output(index) if schema else None
            dtype = _chosen(node) or (plain(formal.type, bound) if formal else None) or graph.noted.get(name)
            if name and dtype and dtype != "undefined":
                found[name] = dtype
    return found


def plain(kind: str, bound: Mapping[str, str]) -> str | None:
    """The dtype behind a variable (`T`) or a type (`tensor(int64)`)."""
    return kind.removeprefix("tensor(").removesuffix(")") if kind.startswith("tensor(") else bound.get(kind)


def _chosen(node: Node) -> str | None:
    name, default = _CHOSEN.get(node.op, ("", None)) if node.domain == "" else ("", None)
    setting = node.attributes.get(name, default)
    return DTYPES[setting] if isinstance(setting, int) else setting if isinstance(setting, str) else None


def check(model: Path | bytes, target: str, *, version: str | None = None, allowed: Allowed = ALLOWED) -> KernelReport:
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
    kernels, graph = kernel_list(target, version), read_graph(model)
    dtypes = find_dtypes(graph, kernels)
    found = _Check(kernels=kernels, opsets=graph.opsets, dtypes=dtypes, allowed=allowed)
    verdicts = [found.verdict(node) for node in graph.nodes]
    if kernels.target != CPU.name:
        # ONNX Runtime's own choice comes after its kernels: of those that could run, some stay on the CPU.
        reason = "ONNX Runtime keeps what is computed from shapes alone beside them (fallback_cpu_capability.cc)"
        for at in _cpu_preferred(graph, [verdict.place == "runs" for verdict in verdicts], dtypes):
            verdicts[at] = _verdict(graph.nodes[at], "kept", [reason])
    return KernelReport(kernels=kernels, verdicts=tuple(verdicts))


@dataclass(frozen=True, kw_only=True)
class _Check:
    """What nodes of one graph are held against."""

    kernels: KernelList
    opsets: Mapping[str, int]
    dtypes: Mapping[str, str]
    allowed: Allowed

    def verdict(self, node: Node) -> NodeVerdict:
        schema = self.kernels.schema(node.domain, node.op, self.opsets.get(node.domain, 0))
        broken = [
            (entry.consequence, f"{found}; {entry.because}")
            for entry in REQUIREMENTS
            if entry.concerns(self.kernels.target, self.kernels.version, node)
            and (found := entry.condition(node, self.dtypes)) is not None
        ]
        refusals = [*self._refusals(node, schema), *(why for consequence, why in broken if consequence != "leaves")]
        if refusals or schema is None:
            return _verdict(node, "refused", refusals)
        why = [why for consequence, why in broken if consequence == "leaves"]
        why += self._departures(node, schema, self.kernels)
        if not why:
            return _verdict(node, "runs", [])
        if self.kernels.target == CPU.name:
            return _verdict(node, "refused", why)
        if missing := self._departures(node, schema, kernel_list(CPU.name, self.kernels.version)):
            return _verdict(node, "refused", [*why, *missing])
        plan = self.allowed.get((self.kernels.target, node.domain, node.op)) or self._counting(node)
        return _verdict(node, "allowed", [*why, plan]) if plan else _verdict(node, "leaves", why)

    def _counting(self, node: Node) -> str | None:
        """Why a node that computes numbers of tokens may go to the CPU, where its target leaves int64 there."""
        counts = {self.dtypes.get(name) for name in node.inputs if name} == {"int64"}
        return _COUNTS if counts and TARGETS[self.kernels.target].int64_on_cpu else None

    def _refusals(self, node: Node, schema: Schema | None) -> Iterator[str]:
        """What the model's own check would say, before any provider is asked."""
        runtime = f"ONNX Runtime {self.kernels.version}"
        if node.has_subgraph:
            yield "it holds a graph of its own, which this check does not look into"
        if schema is None:
            yield f"{runtime} has no such operator in {node.domain or 'ai.onnx'} {self.opsets.get(node.domain, 0)}"
            return
        for index, name in enumerate(node.inputs):
            formal = schema.input(index)
            if formal is None:
                yield f"it has {len(node.inputs)} inputs, and {runtime} knows {len(schema.inputs)}"
                break
            found = self.dtypes.get(name)
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

    def _departures(self, node: Node, schema: Schema, kernels: KernelList) -> list[str]:
        """Why no kernel of a list takes the node, empty if one does: the closest kernel's reason."""
        where = f"{kernels.provider} of {kernels.version}"
        every = kernels.of(node.domain, node.op)
        if not every:
            return [f"{where} has no {node.op}"]
        covering = [kernel for kernel in every if kernel.covers(schema.since)]
        if not covering:
            return [f"{where} has {node.op} for versions {_versions(every)}, and the graph's is {schema.since}"]
        closest = min((list(self._misfits(node, schema, kernel)) for kernel in covering), key=len)
        return [f"{where} takes {', '.join(closest)}"] if closest else []

    def _misfits(self, node: Node, schema: Schema, kernel: Kernel) -> Iterator[str]:
        """The inputs and outputs whose dtype a kernel does not take, or that can't be told."""
        formals = [(schema.input(index), name) for index, name in enumerate(node.inputs)]
        formals += [(schema.output(index), name) for index, name in enumerate(node.outputs)]
        for formal, name in formals:
            if formal is None or name == "" or (takes := kernel.types.get(formal.type)) is None:
                continue
            found = self.dtypes.get(name)
            if found not in takes:
                yield f"{formal.name} as {' or '.join(sorted(takes))}, not {found or 'a type that can not be told'}"


def _verdict(node: Node, place: Place, reasons: list[str]) -> NodeVerdict:
    return NodeVerdict(node=node.name or next(iter(node.outputs), ""), op=node.op, place=place, reasons=tuple(reasons))


def _versions(kernels: Collection[Kernel]) -> str:
    spans = {(kernel.first, kernel.last) for kernel in kernels}
    return ", ".join(
        str(first) if last in (None, first) else f"{first}-{last}" for first, last in sorted(spans, key=str)
    )


def _cpu_preferred(graph: NodeGraph, runs: Sequence[bool], dtypes: Mapping[str, str]) -> set[int]:
    """The nodes that ONNX Runtime keeps on the CPU although the GPU has a kernel, by their places in `graph.nodes`.

    Shape and Size give their result in the CPU's memory. What is computed from such results, small constants and graph
    inputs alone stays there, since moving it would cost more (`core/framework/fallback_cpu_capability.cc`,
    GetCpuPreferredNodes). One thing is left out: a kernel that wants its input on the CPU keeps its node on the GPU.
    `runs` says of each node whether the provider has a kernel for it.
    """
    on_cpu: set[str] = set()
    kept: set[int] = set()
    for at, node in enumerate(graph.nodes):
        if not runs[at]:
            # What has left already feeds others from the CPU, where something reached it from there.
            if not on_cpu.isdisjoint(node.inputs):
                on_cpu.update(node.outputs)
        elif node.domain == "" and node.op in _GIVES_CPU_MEMORY:
            on_cpu.update(node.outputs)
        elif _stays(graph, node, on_cpu, dtypes):
            on_cpu.update(node.outputs)
            kept.add(at)
    return kept


def _stays(graph: NodeGraph, node: Node, on_cpu: set[str], dtypes: Mapping[str, str]) -> bool:
    given = [name for name in node.inputs if name]
    if on_cpu.isdisjoint(given) or any(dtypes.get(name) in _NEVER for name in given):
        return False
    return all(name in on_cpu or name in graph.inputs or graph.sizes.get(name, _SMALL + 1) <= _SMALL for name in given)


def check_graphs(folder: Path, target: str, *, graph: str | None = None) -> Mapping[str, KernelReport]:
    """What each graph's nodes would do on a target, by file name.

    Without `graph`, the artifact's graphs for that target. A graph for the target is
    held against the oldest ONNX Runtime that the artifact says it runs on, another one against the target's oldest.

    Raises:
        ArtifactError: no artifact, or no graph there.
        InputError: a target without a kernel list or without a graph here, or a graph that the artifact does not list.
    """
    kernel_list(target)
    manifest = read_manifest(folder)
    chosen = [one for one in manifest.graphs if (one.target == target if graph is None else one.file == graph)]
    files = ", ".join(one.file for one in manifest.graphs)
    if not chosen and graph is not None:
        raise InputError(f"the artifact lists no graph {graph!r}, expected one of: {files}")
    if not chosen:
        raise InputError(
            f"the artifact has no graph for {target}, only {files}: export with --target {target}, or name one with "
            "--graph to see what it would lose there"
        )
    floors = {one.file: one.onnxruntime_floor if one.target == target else None for one in chosen}
    return {file: check(folder / file, target, version=floor) for file, floor in floors.items()}
