"""From one trace to the artifact's graphs: a copy of the trace a plan, with the plan's passes run on it.

Knows plans and the pipeline. Must not know where weights lie or what a file looks like.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from thinkport.export.families import DecoderShape, Family
from thinkport.export.pipeline import build_pipeline, run_passes
from thinkport.export.plans import GraphPlan
from thinkport.export.quantize.kv_scales import KvScales
from thinkport.export.quantize.recipes import Recipe
from thinkport.runtime.artifact.manifest import PassRecord


@dataclass(frozen=True, kw_only=True)
class MadeGraph:
    """A finished graph, whose weights have no values yet, and what each pass did to it."""

    plan: GraphPlan
    model: ir.Model
    passes: list[PassRecord]


def make_graphs(
    traced: ir.Model,
    plans: Sequence[GraphPlan],
    family: Family,
    shape: DecoderShape,
    recipe: Recipe | None,
    kv_scales: KvScales | None,
) -> list[MadeGraph]:
    """One graph a plan; the trace itself stays as it is.

    Raises:
        GraphError: a pass did not fire as often as it declares.
    """
    made = []
    for plan in plans:
        model = traced.clone()
        records = run_passes(model, build_pipeline(family, shape, plan, recipe, kv_scales))
        made.append(MadeGraph(plan=plan, model=model, passes=records))
    return made
