"""How many bytes an artifact's weights will take, told from the checkpoint's shapes alone.

Knows what a recipe stores. Must not read a weight.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from thinkport.export.families import DecoderShape, Family
from thinkport.export.plans import DTYPES, GraphPlan
from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.export.trace.names import layer_of


@dataclass(frozen=True, kw_only=True)
class WeightSizes:
    """Bytes: of all weights, but for the padding between them, and the most that a part of a graph that is cut has."""

    total: int
    largest_part: int


def weight_sizes(
    family: Family, shape: DecoderShape, recipe: ModelRecipe | None, plans: Sequence[GraphPlan]
) -> WeightSizes:
    """The sizes; codes are there once, scales, norms and tables once for each type that some graph computes in."""
    sizes = [DTYPES[kind].itemsize for kind in {plan.activations for plan in plans}]
    layers: Counter[int | None] = Counter()
    outside = 0
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied) if recipe is not None else None
        item = sum(sizes) if how is None else how.bits / 8 + sum(sizes) / how.group_size
        layers[layer_of(name)] += int(prod(size) * item)
        if layer_of(name) is None:
            outside = max(outside, int(prod(size) * item))
    cos_sin = int(shape.context_length * shape.head_dim * sum(sizes)) if any(plan.fuse for plan in plans) else 0
    largest = max(bytes_ for layer, bytes_ in layers.items() if layer is not None)
    return WeightSizes(total=layers.total() + cos_sin, largest_part=largest + outside + cos_sin)
