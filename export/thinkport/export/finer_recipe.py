"""What to tell of an artifact that is damaged, and which recipe comes nearer to its checkpoint.

Knows verdicts, recipes and a model's sizes. Must not know how anything is measured.
"""

from thinkport.export.errors import RecipeError
from thinkport.export.families import DecoderShape, Family
from thinkport.export.preflight import check_groups_fit
from thinkport.export.quantize.recipes import KEPT, RECIPES, ModelRecipe
from thinkport.export.settings import ExportSettings, check_recipe
from thinkport.export.sizes import bits_a_weight
from thinkport.runtime.artifact.certificate import Certificate, Figure
from thinkport.runtime.artifact.verdict import USABLE, Grade, verdict_of_artifact, verdict_of_graph


def advised(
    certificate: Certificate,
    settings: ExportSettings,
    family: Family,
    shape: DecoderShape,
    applied: ModelRecipe | None = None,
) -> Certificate:
    """The certificate with the recipe to take where a graph may be damaged, and a warning where one surely is.

    The share of equal top tokens is not judged: where no token is likely, it says nothing. `applied` is the recipe
    where it is another than the settings'.
    """
    if not certificate.figures:  # cosines of a model that embeds, from which nothing follows
        return certificate
    recipe, verdict = applied or settings.quantization, verdict_of_artifact(certificate)
    if recipe is None or not (verdict.damaged or verdict.worst is Grade.DAMAGED):
        return certificate
    if recipe.name == KEPT:
        kept = (
            "The checkpoint's integers are as they were: what differs is the rounding of activations and of the KV "
            "cache, and of tables. --kv fp32 leaves the cache unrounded, --precision fp32 --target cpu everything"
        )
        return certificate.model_copy(update={"warning": _far(certificate) + kept if verdict.damaged else None})
    finer = next_finer(recipe, settings, family, shape)
    warning = _warning(certificate, recipe, finer, family, shape) if verdict.damaged else None
    return certificate.model_copy(update={"finer_recipe": finer and finer.name, "warning": warning})


def _warning(
    certificate: Certificate, recipe: ModelRecipe, finer: ModelRecipe | None, family: Family, shape: DecoderShape
) -> str:
    said = _far(certificate)
    said += f"Recipe {recipe.name} is too coarse for this checkpoint, and replies are clearly worse. "
    if finer is None:
        return said + "No recipe is finer: --precision fp32 --target cpu leaves the weights as they are"
    bits = _bits(finer, family, shape)
    return said + f"The next finer one has {bits:.2f} bits a weight: --recipe {finer.name}"


def _far(certificate: Certificate) -> str:
    """The graph that is furthest from the checkpoint, of those that answered all texts if one of them is damaged."""
    damaged = [figure for figure in certificate.figures if verdict_of_graph(figure).damaged]
    whole = [figure for figure in damaged if figure.prompts is None]
    kl, text, graph = max(map(_found, whole or damaged))
    return (
        f"{graph} is far from the checkpoint: mean KL divergence {kl:.2g} nats on {text}, expected at most {USABLE:g}. "
    )


def _found(figure: Figure) -> tuple[float, str, str]:
    """The divergence that a damaged graph is warned of: that of all texts if it is damaged there, or of a kind."""
    verdict = verdict_of_graph(figure)
    if verdict.best is Grade.DAMAGED:
        return figure.kl_mean, "all texts", figure.graph
    groups = {**(figure.by_kind or {}), **(figure.by_language or {})}
    return max(
        (groups[name].kl_mean, f"the texts {name!r}", figure.graph)
        for name, grade in verdict.exceptions
        if grade is Grade.DAMAGED
    )


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
