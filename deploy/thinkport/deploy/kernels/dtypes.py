"""Finds the dtype of every value in a graph from its operators' schemas alone; knows no shapes.

ONNX's own inference stops at `com.microsoft` operators, and most values come out of one. A schema says which inputs
and outputs share a type, which is all that is needed; an attribute decides for the few operators that choose.
"""

from collections.abc import Mapping

from thinkport.deploy.kernels.graph_file import DTYPES, Node, NodeGraph
from thinkport.deploy.kernels.kernel_list import KernelList

# Operators whose output type an attribute names: (attribute, the type without it).
_CHOSEN = {"Cast": ("to", None), "Constant": ("value", None), "ConstantOfShape": ("value", "float")}


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
