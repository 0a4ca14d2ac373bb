"""What can be known before the long work: before weights are fetched, and before anything is traced.

Knows settings and a checkpoint's small files. Must not read a weight.
"""

import psutil

from thinkport.export.certify import certifying_bytes, check_memory
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.purpose import embedding_of
from thinkport.export.checkpoint.tokenizer_files import (
    check_default,
    check_ids,
    special_tokens,
    stop_tokens,
    tokenizer_of,
)
from thinkport.export.errors import CheckpointError, OutputError, RecipeError, UnsupportedModelError
from thinkport.export.families import DecoderShape, Family, family_of, shape_of
from thinkport.export.plans import plan_graphs, suited
from thinkport.export.quantize.recipes import ModelRecipe
from thinkport.export.settings import ExportSettings
from thinkport.export.sizes import room, weight_sizes
from thinkport.export.write.staging import check_space
from thinkport.runtime.artifact.manifest import Embedding, Reranking, Task
from thinkport.runtime.artifact.plain_texts import odd_text
from thinkport.runtime.artifact.verdict import Grade
from thinkport.runtime.errors import InputError

_SMALL_FILES = 64 << 20  # room for tokenizer, graphs and goldens beside the weights
_CAUSAL, _BARE = "ForCausalLM", "Model"  # how transformers' names of architectures end
_HEAD_STEP = 16  # GroupQueryAttention turns heads of a multiple of it only


def check_export(settings: ExportSettings, checkpoint: Checkpoint) -> None:
    """Refuse what can't become an artifact, or has no room; of the checkpoint, the tensors are not looked at.

    The room for integers that are kept is known only from the tensors: see `check_room`.

    Raises:
        ThinkportError: of the kind that says whose fault it is; see `thinkport.export.errors`.
    """
    output, folder = settings.output, checkpoint.folder
    if output.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{output} lies inside the checkpoint {folder}: choose an output path beside it")
    check_architecture(checkpoint, settings.asked_task)
    _check_texts(settings, checkpoint)
    family = family_of(checkpoint.config)
    shape = shape_of(checkpoint)
    settings = suited(settings, shape)
    if settings.fuse and shape.head_dim % _HEAD_STEP:
        raise UnsupportedModelError(
            f"head_dim is {shape.head_dim}: fused attention takes multiples of {_HEAD_STEP} only; export with --no-fuse"
        )
    family.presets(checkpoint.generation_config)
    stops = {f"the stop token {stop}": stop.id for stop in stop_tokens(checkpoint)}
    check_ids(checkpoint, shape.vocab_size, family.thinking_tokens, stops)
    check_default(checkpoint, family.thinking_tokens, settings.enable_thinking)
    _check_task(settings, checkpoint)
    search_records(checkpoint, family, shape)
    if not (checkpoint.quantized and settings.keeps):
        check_room(settings, family, shape, settings.quantization)


def check_architecture(checkpoint: Checkpoint, asked: Task | None) -> None:
    """Refuse a model that neither writes, embeds nor reranks, and one that may be for either.

    Raises:
        UnsupportedModelError: config.json names a classifier or another head than that of a causal LM.
        CheckpointError: it was saved without a head and nothing says what for.
    """
    names = checkpoint.config.get("architectures")
    if not isinstance(names, list) or not names or any(str(name).endswith(_CAUSAL) for name in names):
        return
    name = str(names[0])
    if not name.endswith(_BARE):
        raise UnsupportedModelError(
            f"{checkpoint.id} is a {name}, which gives classes or scores of its own: supported are causal language "
            "models (…ForCausalLM), Qwen3's embedding models and its rerankers"
        )
    if asked is None and checkpoint.task is Task.CHAT:
        raise CheckpointError(
            f"{checkpoint.id} is a {name}, a model without lm_head, as embedding models are saved, and has no "
            "modules.json that says so: give --task embedding, or --task chat if it writes replies"
        )


def search_records(
    checkpoint: Checkpoint, family: Family, shape: DecoderShape
) -> tuple[Embedding | None, Reranking | None]:
    """How the checkpoint embeds, and how it reranks; None for what is not its task.

    Raises:
        CheckpointError: a file can't be read, or the tokenizer can't be used.
        UnsupportedModelError: nothing is known of such an embedding model or reranker.
    """
    if checkpoint.task is Task.EMBEDDING:
        return embedding_of(checkpoint.folder, tokenizer_of(checkpoint), shape.hidden_size), None
    return None, family.reranking(tokenizer_of(checkpoint)) if checkpoint.task is Task.RERANK else None


def _check_texts(settings: ExportSettings, checkpoint: Checkpoint) -> None:
    """Refuse names and tokens that no manifest may hold, before any work."""
    adapter = "" if settings.adapter is None else settings.adapter.resolve().name
    ends = [stop.token for stop in stop_tokens(checkpoint) if stop.token]
    odd = odd_text({"name": [checkpoint.id, adapter], "special_tokens": [special_tokens(checkpoint), ends]})
    if odd is not None:
        raise CheckpointError(
            f"{odd}, which would change how a terminal shows it: rename the folder, or correct tokenizer_config.json"
        )


def _check_task(settings: ExportSettings, checkpoint: Checkpoint) -> None:
    """Refuse options that ask something of replies, where there are none."""
    if checkpoint.task is not Task.CHAT and settings.enable_thinking is not None:
        raise InputError(
            f"{checkpoint.id} is exported for the task {checkpoint.task}, which has no replies: leave out --think and "
            "--no-think, or give --task chat"
        )
    if checkpoint.task is Task.EMBEDDING and isinstance(settings.min_agreement, Grade):
        raise InputError(
            f"--min-agreement {settings.min_agreement} is about next tokens, and {checkpoint.id} embeds: give the "
            "least mean cosine similarity instead, such as 0.98"
        )


def check_room(settings: ExportSettings, family: Family, shape: DecoderShape, recipe: ModelRecipe | None) -> None:
    """Refuse a recipe that doesn't fit the model, and an artifact that disk or memory have no room for.

    Raises:
        RecipeError: its groups don't divide the rows of a weight, or its bits or bytes are too few.
        OutputError: the disk is too small.
        CertificateError: there is too little memory to certify.
    """
    if recipe is not None:
        check_groups_fit(family, shape, recipe)
    plans = plan_graphs(settings, recipe, experts=shape.mixture is not None)
    sizes = weight_sizes(family, shape, recipe, plans)
    finer = room(family, shape, recipe, plans) if recipe is not None else 0
    check_space(settings.output, int(sizes.total + finer) + _SMALL_FILES)
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
            how.for_rows(size[-1])
        except RecipeError as error:
            raise RecipeError(f"recipe {recipe.name!r} doesn't fit {name}: {error}") from error
