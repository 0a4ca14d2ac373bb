"""Which graphs an artifact gets: one a target, and others over the same weights where one graph can't serve all.

Knows settings and capabilities. Must not know how a graph is made or written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd
from types import MappingProxyType

import onnx_ir as ir
from packaging.version import Version

from thinkport.deploy.targets import TARGETS, Activations, KvForm, Target
from thinkport.export.errors import RecipeError, UnsupportedModelError
from thinkport.export.families import DecoderShape
from thinkport.export.quantize.recipes import EXPERTS, KEPT, ModelRecipe
from thinkport.export.reference.decoder import Loudness
from thinkport.export.settings import ExportSettings

DTYPES: Mapping[Activations, ir.DataType] = MappingProxyType(
    {"float32": ir.DataType.FLOAT, "float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}
)
_YARDSTICK: Activations = "float32"
LARGEST: Mapping[Activations, float] = MappingProxyType({"float32": 3.4e38, "bfloat16": 3.3e38, "float16": 65504.0})
HEADROOM = 4.0  # other texts than the few that were measured may be louder
# A first token attends to itself alone. Of a real model (SmolLM2-135M) the loudest first token of the whole vocabulary
# is 1.14 times as loud as the loudest of the few that are measured, and 1.35 times the median.
FIRST_HEADROOM = 1.5


@dataclass(frozen=True, kw_only=True)
class GraphPlan:
    """One graph to be made of the trace.

    Attributes:
        file: the graph's file.
        target: where it is to run.
        kv: its KV cache.
        activations: the type that it computes in, which is that of a cache that is not rounded to int8.
        fuse: False leaves it as traced.
        plain_norms: True spells out the norms, for devices where the fused ones are wrong.
        native_of: the file of the graph that this one is in thinkport's own operators; None is a graph of its own.
        experts: whether the model has a mixture of them.
    """

    file: str
    target: Target
    kv: KvForm
    activations: Activations = "float32"
    fuse: bool = True
    plain_norms: bool = False
    native_of: str | None = None
    experts: bool = False

    @property
    def onnxruntime_floor(self) -> str:
        """The oldest ONNX Runtime that runs it."""
        floors = [self.kv.onnxruntime_floor, *([self.target.experts_floor or ""] if self.experts else [])]
        return max(floors, key=Version)


def plan_graphs(
    settings: ExportSettings, recipe: ModelRecipe | None = None, *, experts: bool = False
) -> list[GraphPlan]:
    """The artifact's graphs: the targets in their order, and of each the graph that is best where it runs first.

    `recipe` is the checkpoint's own, if that is another than the settings'. `experts` says whether the model has a
    mixture of them.

    Raises:
        RecipeError: a target that was asked for doesn't take the recipe's weights.
    """
    recipe = recipe or settings.quantization
    return [plan for entry in settings.entries_for(recipe) for plan in _of(entry, settings, recipe, experts=experts)]


def suited(settings: ExportSettings, shape: DecoderShape) -> ExportSettings:
    """The settings for a model: with experts, the targets that can run them, and one size of group for their matrices.

    Raises:
        RecipeError: no size of group fits the experts, or a checkpoint's integers were to be kept.
        UnsupportedModelError: a target was asked for that can't; the message names those that can.
    """
    if shape.mixture is None:
        return settings
    able = tuple(entry.name for entry in settings.entries if entry.experts_floor is not None)
    unable = [entry.name for entry in settings.entries if entry.experts_floor is None]
    if unable and settings.targets is not None:
        known = [entry.name for entry in TARGETS.values() if entry.experts_floor is not None]
        raise UnsupportedModelError(
            f"target {' and '.join(unable)} can't run a mixture of experts: no graph for it was ever checked there; "
            f"export with --target {','.join(known)}"
        )
    if settings.recipe == KEPT:
        raise RecipeError(
            f"recipe {KEPT!r} can't be had of a mixture of experts, whose weights are always rounded anew: name "
            "another recipe, or none"
        )
    recipe = settings.quantization
    if recipe is None:
        return replace(settings, targets=able)
    # QMoE has one size for what goes into an expert and what comes out.
    columns = gcd(shape.hidden_size, shape.mixture.intermediate_size)
    roles = {**recipe.roles, EXPERTS: recipe.of(EXPERTS).for_rows(columns)}
    return replace(settings, targets=able, recipe=replace(recipe, roles=roles))


def fitted_plans(plans: Sequence[GraphPlan], loudness: Loudness) -> list[GraphPlan]:
    """Each plan `fitted`. Two that become one graph are one, under the later's name, which says its type."""
    found = [fitted(plan, loudness) for plan in plans]
    return list({replace(plan, file=""): plan for plan in found}.values())


def fitted(plan: GraphPlan, loudness: Loudness) -> GraphPlan:
    """The plan with the first of its target's types whose range holds a model's activations."""
    largest = max(loudness.first * FIRST_HEADROOM, loudness.later * HEADROOM)
    fits = [kind for kind in plan.target.activations if largest < LARGEST[kind]]
    if not fits or plan.activations in fits:
        return plan
    kv = plan.kv if plan.kv.dtype != plan.activations else plan.target.kv_beside(fits[0])
    return replace(plan, activations=fits[0], kv=kv)


def _of(entry: Target, settings: ExportSettings, recipe: ModelRecipe | None, *, experts: bool) -> Iterator[GraphPlan]:
    best = entry.kv_form(settings.kv_dtype(entry))
    activations = _YARDSTICK if settings.yardstick else entry.activations[0]
    main = GraphPlan(
        file=f"{entry.name}.onnx", target=entry, kv=best, activations=activations, fuse=settings.fuse, experts=experts
    )
    yield main
    if settings.yardstick:
        return
    if entry.native_kernels and _rounds_activations(recipe):
        yield replace(main, file=f"{entry.name}-native.onnx", native_of=main.file)
    floor = Version(main.onnxruntime_floor)  # an older ONNX Runtime gets the best cache that it takes
    others = [replace(main, file=f"{entry.name}-{form.dtype}-kv.onnx", kv=form) for form in entry.kv]
    yield from [plan for plan in others if plan.kv.dtype == activations and Version(plan.onnxruntime_floor) < floor][:1]
    if entry.activations_optional:
        wide = entry.activations[1]
        yield replace(main, file=f"{entry.name}-{wide}.onnx", activations=wide, kv=entry.kv_beside(wide))
    if entry.fused_norms_unsafe:
        yield replace(main, file=f"{entry.name}-plain.onnx", plain_norms=True)


def _rounds_activations(recipe: ModelRecipe | None) -> bool:
    """Whether all products are of int8 activations, which thinkport's own kernels compute with."""
    return recipe is not None and all(how.accuracy_level == 4 for how in (recipe.layers, *recipe.roles.values()))
