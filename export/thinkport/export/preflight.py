"""What can be known before the long work: before weights are fetched, and before anything is traced.

Knows settings and a checkpoint's small files. Must not read a weight.
"""

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType

import psutil

from thinkport.deploy.targets import Activations
from thinkport.export.certify import check_memory
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.errors import OutputError, RecipeError, UnsupportedModelError
from thinkport.export.families import DecoderShape, Family, family_of
from thinkport.export.plans import GraphPlan, plan_graphs
from thinkport.export.quantize import Recipe
from thinkport.export.quantize.rounding import check_groups
from thinkport.export.settings import ExportSettings
from thinkport.export.write.staging import check_space
from thinkport.export.write.tokenizer_files import check_default, check_tokens

_ITEM_BYTES: Mapping[Activations, int] = MappingProxyType({"float32": 4, "float16": 2, "bfloat16": 2})
_SMALL_FILES = 64 << 20  # room for tokenizer, graphs and goldens beside the weights
_HEAD_STEP = 16  # GroupQueryAttention turns heads of a multiple of it only


def check_export(settings: ExportSettings, checkpoint: Checkpoint) -> None:
    """Refuse what can't become an artifact, or has no room; of the checkpoint, the tensors are not looked at.

    Raises:
        ThinkportError: of the kind that says whose fault it is; see `thinkport.export.errors`.
    """
    _check_apart(settings, checkpoint)
    family = family_of(checkpoint.config)
    shape = family.shape(checkpoint.config)
    if settings.fuse and shape.head_dim % _HEAD_STEP:
        raise UnsupportedModelError(
            f"head_dim is {shape.head_dim}: fused attention takes multiples of {_HEAD_STEP} only; export with --no-fuse"
        )
    family.presets(checkpoint.generation_config)
    check_tokens(checkpoint, shape.vocab_size, family.thinking_tokens)
    check_default(checkpoint, family.thinking_tokens, settings.enable_thinking)
    if settings.quantization is not None:
        _check_groups(family, shape, settings.quantization)
    weights = weights_bytes(family, shape, settings.quantization, plan_graphs(settings))
    check_space(settings.output, weights + _SMALL_FILES)
    if settings.certificate:
        check_memory(weights, psutil.virtual_memory().available)


def weights_bytes(family: Family, shape: DecoderShape, recipe: Recipe | None, plans: Sequence[GraphPlan]) -> int:
    """Bytes that the weights will take, but for the padding between them.

    Codes are there once; scales, norms and tables once for each type that some graph computes in.
    """
    sizes = [_ITEM_BYTES[kind] for kind in {plan.activations for plan in plans}]
    total = 0.0
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied) if recipe is not None else None
        if how is None:
            total += prod(size) * sum(sizes)
        else:
            total += prod(size) * (how.bits / 8 + sum(sizes) / how.group_size)
    if any(plan.fuse for plan in plans):
        total += shape.context_length * shape.head_dim * sum(sizes)  # cosine and sine
    return int(total)


def _check_apart(settings: ExportSettings, checkpoint: Checkpoint) -> None:
    output, folder = settings.output, checkpoint.folder
    if output.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{output} lies inside the checkpoint {folder}: choose an output path beside it")


def _check_groups(family: Family, shape: DecoderShape, recipe: Recipe) -> None:
    for name, size in family.expected_tensors(shape).items():
        how = recipe.for_role(family.role(name), tied=shape.tied)
        if how is None:
            continue
        try:
            check_groups(size[-1], how.group_size)
        except RecipeError as error:
            raise RecipeError(f"recipe {recipe.name!r} doesn't fit {name}: {error}") from error
