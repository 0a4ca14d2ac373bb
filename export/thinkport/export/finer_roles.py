"""Which weights a recipe gives its finer format: those that matter most, in the room that it leaves.

Knows a family's weights, sizes and losses. Must not know how a loss is measured.
"""

from collections.abc import Mapping, Sequence
from math import prod

from thinkport.export.families import DecoderShape, Family
from thinkport.export.plans import GraphPlan
from thinkport.export.quantize.budget import Upgrade, most_worth
from thinkport.export.quantize.recipes import TABLES, ModelRecipe, Role, RoleRecipe, finer
from thinkport.export.sizes import room, scale_bytes


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

    # What reads the same channels is packed, and a packed matrix has one format.
    weighed = (site.readers for site in family.sites(shape) if all(name in losses for name in site.readers))
    packed = {*weighed} | {(name,) for name in losses if family.role(name) in TABLES}
    chosen = most_worth(map(upgrade, packed), room(family, shape, recipe, plans))
    return {
        name: finer("lm_head" if family.role(name) in TABLES else family.role(name))
        for one in chosen
        for name in one.names
    }
