"""Which graphs an artifact gets: one a target, and others over the same weights where one graph can't serve all.

Knows settings and capabilities. Must not know how a graph is made or written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from thinkport.deploy.targets import KvForm, Target
from thinkport.export.settings import ExportSettings


@dataclass(frozen=True, kw_only=True)
class GraphPlan:
    """One graph to be made of the trace.

    Attributes:
        file: the graph's file.
        target: where it is to run.
        kv: its KV cache.
        fuse: False leaves it as traced.
    """

    file: str
    target: Target
    kv: KvForm
    fuse: bool = True


def plan_graphs(settings: ExportSettings) -> list[GraphPlan]:
    """The artifact's graphs: the targets in their order, and of each the graph that is best where it runs first."""
    return [plan for entry in settings.entries for plan in _of(entry, settings)]


def _of(entry: Target, settings: ExportSettings) -> Iterator[GraphPlan]:
    best = entry.kv_form(settings.kv_dtype(entry))
    yield GraphPlan(file=f"{entry.name}.onnx", target=entry, kv=best, fuse=settings.fuse)
    fallback = _older(best, entry.kv)
    if fallback is not None and not settings.yardstick:
        yield GraphPlan(file=f"{entry.name}-{fallback.dtype}-kv.onnx", target=entry, kv=fallback)


def _older(best: KvForm, forms: Sequence[KvForm]) -> KvForm | None:
    """The best cache that an older ONNX Runtime takes than the one that `best` needs."""
    return next((form for form in forms if _release(form) < _release(best)), None)


def _release(form: KvForm) -> tuple[int, ...]:
    return tuple(int(part) for part in form.onnxruntime_floor.split("."))
