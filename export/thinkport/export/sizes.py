"""Bytes of a model's weights: what a recipe takes, what it leaves of a size that was asked for, and who gets the rest.

Knows a family's weights, recipes, plans and losses; reads no weight, and must not know how a loss is measured.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, prod

from thinkport.export.errors import RecipeError
from thinkport.export.families import DecoderShape, Family
from thinkport.export.plans import DTYPES, GraphPlan
from thinkport.export.quantize.recipes import TABLES, ModelRecipe, Role, RoleRecipe, finer
from thinkport.export.quantize.rotation import block_of
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
    scales = scale_bytes(plans)
    layers: Counter[int | None] = Counter()
    outside = 0
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied) if recipe is not None else None
        item = scales if how is None else how.for_rows(size[-1]).bytes_per_weight(scales)
        layers[layer_of(name)] += int(prod(size) * item)
        if layer_of(name) is None:
            outside = max(outside, int(prod(size) * item))
    if recipe is not None and recipe.rotate:  # the matrix that turns hidden states, and a norm of ones
        layers[None] += int((block_of(shape.hidden_size) ** 2 + shape.hidden_size) * scales)
    cos_sin = int(shape.context_length * shape.head_dim * scales) if any(plan.fuse for plan in plans) else 0
    largest = max(bytes_ for layer, bytes_ in layers.items() if layer is not None)
    return WeightSizes(total=layers.total() + cos_sin, largest_part=largest + outside + cos_sin)


def scale_bytes(plans: Sequence[GraphPlan]) -> float:
    """Bytes of a number that is stored once for each type that some graph computes in."""
    return sum(DTYPES[kind].itemsize for kind in {plan.activations for plan in plans})


def room(family: Family, shape: DecoderShape, recipe: ModelRecipe, plans: Sequence[GraphPlan]) -> float:
    """Bytes that a recipe leaves for finer formats: of `weights.bin` by its size, else by its bits a weight.

    Raises:
        RecipeError: there is less than none, with the least that the recipe takes.
    """
    if recipe.size is not None:
        smallest = weight_sizes(family, shape, recipe, plans).total
        if recipe.size < smallest:
            raise RecipeError(
                f"--size {recipe.size / 1e6:g}MB is too small for recipe {recipe.name!r}, whose weights take "
                f"{ceil(smallest / 1e4) / 100}MB at least with these targets: raise it, or leave it out and take "
                "recipe 'fast'"
            )
        return min(recipe.size, weight_sizes(family, shape, _finest(recipe), plans).total) - smallest
    if recipe.bits is None:
        return 0
    least, weights = bits_a_weight(recipe, family, shape)
    if recipe.bits < least:
        raise RecipeError(
            f"--bits {recipe.bits:g} is too few for recipe {recipe.name!r}, which takes at least "
            f"{ceil(least * 100) / 100} a weight: raise it, or leave it out and take recipe 'fast'"
        )
    most, _ = bits_a_weight(_finest(recipe), family, shape)
    return (min(recipe.bits, most) - least) / 8 * weights


def _finest(recipe: ModelRecipe) -> ModelRecipe:
    """The recipe with every matrix of the layers in its finer format."""
    return replace(recipe, layers=recipe.finer or recipe.layers)


def bits_a_weight(recipe: ModelRecipe, family: Family, shape: DecoderShape) -> tuple[float, int]:
    """Bits that a weight of this model takes at least on average, scales in float32 counted; and how many weights."""
    nbytes, weights = 0.0, 0
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied)
        if how is not None:
            nbytes += how.for_rows(size[-1]).bytes_per_weight() * prod(size)
            weights += prod(size)
    return 8 * nbytes / weights, weights


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """Matrices that are stored alike, since targets read them as one.

    Attributes:
        names: the matrices.
        nbytes: what the finer format takes more.
        gain: the divergence from the checkpoint that it saves, nats a position.
    """

    names: Sequence[str]
    nbytes: float
    gain: float


def most_worth(upgrades: Iterable[Upgrade], room: float) -> list[Upgrade]:
    """The upgrades that gain most for their bytes, for as long as they fit into `room` bytes.

    Divergences of single matrices add up nearly (measured on SmolLM2-135M: 0.28 nats one by one, 0.33 together), so
    each is worth the same whatever else is chosen. One that doesn't fit leaves its room to smaller ones.
    """
    chosen = []
    for upgrade in sorted(upgrades, key=lambda one: one.gain / one.nbytes, reverse=True):
        if upgrade.nbytes <= room:
            room -= upgrade.nbytes
            chosen.append(upgrade)
    return chosen


def finer_roles(
    family: Family, shape: DecoderShape, recipe: ModelRecipe, plans: Sequence[GraphPlan], losses: Mapping[str, float]
) -> dict[str, Role]:
    """The role of every weight that is given the finer format, by name; `losses` are nats a position by matrix."""
    sizes, scales = family.expected_tensors(shape), 4 if recipe.size is None else scale_bytes(plans)

    def nbytes(name: str, how: RoleRecipe | None) -> float:
        assert how is not None
        return prod(sizes[name]) * how.for_rows(sizes[name][-1]).bytes_per_weight(scales)

    def upgrade(names: Sequence[str]) -> Upgrade:
        before = sum(nbytes(name, recipe.for_role(family.role(name), tied=shape.tied)) for name in names)
        after = sum(nbytes(name, recipe.finer) for name in names)
        return Upgrade(names=names, nbytes=after - before, gain=sum(losses[name] for name in names))

    # What reads the same norm is packed, and a packed matrix has one format.
    together = {branch.readers for branch in family.branches(shape)}
    packed = {names for names in together if all(name in losses for name in names)}
    packed |= {(name,) for name in losses.keys() - {name for names in packed for name in names}}
    chosen = most_worth(map(upgrade, packed), room(family, shape, recipe, plans))
    return {
        name: finer("lm_head" if shape.tied and family.role(name) in TABLES else family.role(name))
        for one in chosen
        for name in one.names
    }
