"""Whether an artifact is too far from its checkpoint, and which recipe comes nearer.

Knows figures, recipes and a model's sizes. Must not know how anything is measured.
"""

from thinkport.export.errors import RecipeError
from thinkport.export.families import DecoderShape, Family
from thinkport.export.preflight import check_groups_fit
from thinkport.export.quantize.recipes import KEPT, RECIPES, ModelRecipe
from thinkport.export.settings import ExportSettings, check_recipe
from thinkport.export.sizes import bits_a_weight
from thinkport.runtime.artifact.certificate import Certificate

MOST_DIVERGENCE = 0.3  # nats, mean KL on one kind of text; a perplexity that is a third higher


def divergence_warning(
    certificate: Certificate,
    settings: ExportSettings,
    family: Family,
    shape: DecoderShape,
    applied: ModelRecipe | None = None,
) -> str | None:
    """What to tell the user where some graph is further from the checkpoint than `MOST_DIVERGENCE`; None where none is.

    The share of equal top tokens is not judged: where no token is likely, it says nothing. `applied` is the recipe
    where it is another than the settings'.
    """
    recipe = applied or settings.quantization
    found = [
        (kl, text, figure.graph) for figure in certificate.figures for text, kl in (figure.kl_by_text or {}).items()
    ]
    if recipe is None or not found:
        return None
    kl, text, graph = max(found)
    if kl <= MOST_DIVERGENCE:
        return None
    said = (
        f"{graph} is far from the checkpoint: mean KL divergence {kl:.2g} nats on the text {text!r}, expected at most "
        f"{MOST_DIVERGENCE:g}. "
    )
    if recipe.name == KEPT:
        return said + (
            "The checkpoint's integers are as they were: what differs is the rounding of activations and of the KV "
            "cache, and of tables. --kv fp32 leaves the cache unrounded, --precision fp32 --target cpu everything"
        )
    said += f"Recipe {recipe.name} is too coarse for this checkpoint, and replies are clearly worse. "
    finer = next_finer(recipe, settings, family, shape)
    if finer is None:
        return said + "No recipe is finer: --precision fp32 --target cpu leaves the weights as they are"
    return said + f"The next finer one has {_bits(finer, family, shape):.2f} bits a weight: --recipe {finer.name}"


def next_finer(
    recipe: ModelRecipe, settings: ExportSettings, family: Family, shape: DecoderShape
) -> ModelRecipe | None:
    """The recipe of the fewest bits a weight above those of `recipe` that fits the model and the targets."""
    least = _bits(recipe, family, shape)
    # Of recipes of the same size the calibrated one, which is behind the plain ones, is the better.
    finer = {
        other.name: bits
        for other in reversed([*RECIPES.values()])
        if other.layers.accuracy_level and _fits(other, settings, family, shape)  # level 0 is for measuring: it is slow
        if (bits := _bits(other, family, shape)) > least
    }
    return RECIPES[min(finer, key=finer.__getitem__)] if finer else None


def _bits(recipe: ModelRecipe, family: Family, shape: DecoderShape) -> float:
    """Bits that a weight takes on average, with what the recipe gives the matrices that matter most."""
    return max(bits_a_weight(recipe, family, shape)[0], recipe.bits or 0)


def _fits(recipe: ModelRecipe, settings: ExportSettings, family: Family, shape: DecoderShape) -> bool:
    try:
        check_groups_fit(family, shape, recipe)
        for entry in settings.entries:
            check_recipe(recipe, entry)
    except RecipeError:
        return False
    return True
