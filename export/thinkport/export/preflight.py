"""What can be known before the long work: before weights are fetched, and before anything is traced.

Knows settings and a checkpoint's small files. Must not read a weight.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import psutil

from thinkport.export.certify import certifying_bytes, check_memory
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.stop_tokens import stop_tokens
from thinkport.export.checkpoint.tokenizer_files import check_default, check_ids
from thinkport.export.errors import OutputError, RecipeError, UnsupportedModelError
from thinkport.export.families import DecoderShape, Family, family_of
from thinkport.export.plans import DTYPES, GraphPlan, plan_graphs
from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.export.quantize.rounding import check_groups
from thinkport.export.settings import ExportSettings
from thinkport.export.trace.names import layer_of
from thinkport.export.write.staging import check_space

_SMALL_FILES = 64 << 20  # room for tokenizer, graphs and goldens beside the weights
_HEAD_STEP = 16  # GroupQueryAttention turns heads of a multiple of it only


def check_export(settings: ExportSettings, checkpoint: Checkpoint) -> None:
    """Refuse what can't become an artifact, or has no room; of the checkpoint, the tensors are not looked at.

    Raises:
        ThinkportError: of the kind that says whose fault it is; see `thinkport.export.errors`.
    """
    output, folder = settings.output, checkpoint.folder
    if output.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{output} lies inside the checkpoint {folder}: choose an output path beside it")
    family = family_of(checkpoint.config)
    shape = family.shape(checkpoint.config)
    if settings.fuse and shape.head_dim % _HEAD_STEP:
        raise UnsupportedModelError(
            f"head_dim is {shape.head_dim}: fused attention takes multiples of {_HEAD_STEP} only; export with --no-fuse"
        )
    family.presets(checkpoint.generation_config)
    stops = {f"the stop token {stop}": stop.id for stop in stop_tokens(checkpoint)}
    check_ids(checkpoint, shape.vocab_size, family.thinking_tokens, stops)
    check_default(checkpoint, family.thinking_tokens, settings.enable_thinking)
    if settings.quantization is not None:
        check_groups_fit(family, shape, settings.quantization)
    sizes = weight_sizes(family, shape, settings.quantization, plan_graphs(settings))
    check_space(settings.output, sizes.total + _SMALL_FILES)
    if settings.certificate:
        needed = certifying_bytes(sizes.total, sizes.largest_part, shape.vocab_size)
        check_memory(needed, psutil.virtual_memory().available)


def check_groups_fit(family: Family, shape: DecoderShape, recipe: ModelRecipe) -> None:
    """Refuse a recipe whose groups don't divide the rows of a weight.

    Raises:
        RecipeError: with the weight's name and a size that would fit.
    """
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied)
        if how is None:
            continue
        try:
            check_groups(size[-1], how.group_size)
        except RecipeError as error:
            raise RecipeError(f"recipe {recipe.name!r} doesn't fit {name}: {error}") from error


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
