"""Which nodes ONNX Runtime keeps on the CPU although the GPU has a kernel: those that compute on shapes.

Shape and Size give their result in the CPU's memory. What is computed from such results, small constants and graph
inputs alone stays there, since moving it would cost more (`core/framework/fallback_cpu_capability.cc`,
GetCpuPreferredNodes). One thing is left out: a kernel that wants its input on the CPU keeps its node on the GPU.
"""

from collections.abc import Mapping, Sequence

from thinkport.deploy.kernels.graph_file import Node, NodeGraph

_GIVES_CPU_MEMORY = ("Shape", "Size")
_SMALL = 100  # elements
_NEVER = ("float16", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1")


def cpu_preferred(graph: NodeGraph, runs: Sequence[bool], dtypes: Mapping[str, str]) -> set[int]:
    """The places in `graph.nodes` of those kept nodes; `runs` says of each whether the provider has a kernel for it."""
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
