"""How many bytes an artifact's weights will take, told from the checkpoint's shapes alone.

Knows what a recipe stores. Must not read a weight.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from thinkport.deploy.targets import Activations
from thinkport.export.families import DecoderShape, Family
from thinkport.export.plans import GraphPlan
from thinkport.export.quantize import Recipe
from thinkport.export.trace.names import layer_of

ITEM_BYTES: Mapping[Activations, int] = MappingProxyType({"float32": 4, "float16": 2, "bfloat16": 2})


@dataclass(frozen=True, kw_only=True)
class WeightSizes:
    """Bytes: of all weights, but for the padding between them, and the most that a part of a graph that is cut has."""

    total: int
    largest_part: int


def weight_sizes(family: Family, shape: DecoderShape, recipe: Recipe | None, plans: Sequence[GraphPlan]) -> WeightSizes:
    """The sizes; codes are there once, scales, norms and tables once for each type that some graph computes in."""
    sizes = [ITEM_BYTES[kind] for kind in {plan.activations for plan in plans}]
    layers: Counter[int | None] = Counter()
    outside = 0
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied) if recipe is not None else None
        item = sum(sizes) if how is None else how.bits / 8 + sum(sizes) / how.group_size
        layers[layer_of(name)] += int(prod(size) * item)
        if layer_of(name) is None:
            outside = max(outside, int(prod(size) * item))
    cos_sin = shape.context_length * shape.head_dim * sum(sizes) if any(plan.fuse for plan in plans) else 0
    largest = max(bytes_ for layer, bytes_ in layers.items() if layer is not None)
    return WeightSizes(total=layers.total() + cos_sin, largest_part=largest + outside + cos_sin)
