"""Plans of graphs, for tests that make one without an export."""

from thinkport.deploy.targets import KvDtype, target
from thinkport.export.plans import GraphPlan


def planned(name: str = "cpu", kv: KvDtype = "float32", *, fuse: bool = True) -> GraphPlan:
    """The plan of a target's graph with that cache."""
    entry = target(name)
    return GraphPlan(file=f"{name}.onnx", target=entry, kv=entry.kv_form(kv), fuse=fuse)
