"""Which recipe a checkpoint gets: the one that was asked for, or its own integers kept; and what is said of it.

Knows tensors by role, their forms and their words. Must not know how a format stores them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from thinkport.export.checkpoint import Checkpoint, TensorEntry
from thinkport.export.errors import RecipeError
from thinkport.export.families import DecoderShape, Family
from thinkport.export.quantize.integers import IntegerForm, common_form
from thinkport.export.quantize.recipes import BESIDE_KEPT, KEPT, NORM, RECIPES, TABLES, ModelRecipe, Role, RoleRecipe
from thinkport.export.settings import ExportSettings

ByRole = Mapping[Role, list[TensorEntry]]


def chosen_recipe(
    settings: ExportSettings, checkpoint: Checkpoint, family: Family, shape: DecoderShape
) -> ModelRecipe | None:
    """The settings' recipe, and of a quantized checkpoint that keeps its integers one that says so; None for fp32.

    A role is kept where all its matrices have one form, and tables where some role of the layers is; the others are
    rounded by `BESIDE_KEPT`.

    Raises:
        RecipeError: integers were to be kept, and there are none that could be.
    """
    rest = settings.quantization
    if rest is None or not settings.keeps:
        return rest
    tensors = by_role(checkpoint, family, shape)
    forms = {role: form for role, found in tensors.items() if (form := _form(role, found)) is not None}
    if forms.keys() - set(TABLES):  # a table alone is no reason to call the recipe another name
        return _keeping(forms, tensors)
    if settings.recipe == KEPT:
        reason = next(iter(_obstacles(tensors)), "its weights are no integers")
        raise RecipeError(
            f"recipe {KEPT!r} keeps a checkpoint's integers, and {checkpoint.id} has none to keep: {reason}"
        )
    return rest


def told(
    settings: ExportSettings, recipe: ModelRecipe | None, checkpoint: Checkpoint, family: Family, shape: DecoderShape
) -> list[str]:
    """What became of weights that the checkpoint holds quantized, in sentences; none of a plain checkpoint's."""
    tensors = by_role(checkpoint, family, shape)
    otherwise = "the integers of a mixture of experts are not kept"
    if shape.mixture is None:
        otherwise = "without --recipe and --precision the integers are kept as they are"
    by_fate: dict[str, list[Role]] = defaultdict(list)
    for role, found in tensors.items():
        by_fate[_fate(settings, recipe, role, found, otherwise)].append(role)
    if not any(entry.is_quantized for found in tensors.values() for entry in found):
        return []
    said = [f"{', '.join(sorted(roles))}: {fate}" for fate, roles in by_fate.items()]
    left_out = [entry.name for entry in settings.entries if entry not in settings.entries_for(recipe)]
    if left_out:
        said.append(
            f"No graph for {' and '.join(left_out)}, which has no zero points for weights; --recipe {BESIDE_KEPT} "
            "rounds them again, and has one"
        )
    return [*said, "Figures hold the graphs against the dequantized weights, in float32"]


def by_role(checkpoint: Checkpoint, family: Family, shape: DecoderShape) -> dict[Role, list[TensorEntry]]:
    """The checkpoint's matrices; those of tied tables are `lm_head`'s."""
    found: dict[Role, list[TensorEntry]] = defaultdict(list)
    for name in family.expected_tensors(shape):
        role = family.role(name)
        if role != NORM:
            found["lm_head" if shape.tied and role in TABLES else role].append(checkpoint.tensors[name])
    return dict(found)


def _form(role: Role, tensors: list[TensorEntry]) -> IntegerForm | None:
    form = common_form([entry.form for entry in tensors])
    return None if form is not None and form.points and role in TABLES else form  # lookups have no zero points


def _keeping(forms: Mapping[Role, IntegerForm], tensors: ByRole) -> ModelRecipe:
    rest = RECIPES[BESIDE_KEPT]
    roles = {role: RoleRecipe(**vars(forms[role]), kept=True) if role in forms else rest.of(role) for role in tensors}
    layers = next((roles[role] for role in roles if role not in TABLES), rest.layers)
    return ModelRecipe(
        name=KEPT, summary=f"the checkpoint's integers, the rest by {rest.name}", layers=layers, roles=roles
    )


def _fate(
    settings: ExportSettings, recipe: ModelRecipe | None, role: Role, tensors: list[TensorEntry], otherwise: str
) -> str:
    stored = " and ".join(sorted({entry.dtype for entry in tensors}))
    how = recipe.of(role) if recipe is not None else None
    if how is not None and how.kept:
        return f"the checkpoint's own integers ({stored}), taken as they are"
    rounded = "not rounded"
    if recipe is not None:
        rounded = f"rounded by {BESIDE_KEPT if recipe.name == KEPT else recipe.name}"
    if not any(entry.is_quantized for entry in tensors):
        return f"stored as {stored}, {rounded}"
    if any(entry.form for entry in tensors) and how is not None and not settings.keeps:
        why = f"; {otherwise}"
    else:
        why = "".join(f"; {obstacle}" for obstacle in _obstacles({role: tensors}))
    again = "" if how is None else ", on top of what the checkpoint's own rounding lost"
    return f"stored as {stored}, dequantized and {rounded}{again}{why}"


def _obstacles(tensors: ByRole) -> Iterator[str]:
    """Why integers can't be kept, each reason once."""
    seen = set()
    for role, found in tensors.items():
        for entry in found:
            reason = entry.obstacle
            if reason is None and entry.form is not None:
                reason = f"the matrices of {role} are stored in different bits"
            if reason is not None and reason not in seen and _form(role, found) is None:
                seen.add(reason)
                yield reason
