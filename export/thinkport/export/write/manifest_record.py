"""The manifest of an artifact, without its files: what the checkpoint, the graph and the recipe have to say.

Knows the manifest's schema. Must not write a file.
"""

from datetime import UTC, datetime

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint import tokenizer_files as files
from thinkport.export.families import Family
from thinkport.export.write.records import tool_versions
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.manifest import SCHEMA_VERSION, Graph, Manifest, ModelShape, PassRecord, Recipe, Source


def manifest_record(
    checkpoint: Checkpoint,
    family: Family,
    *,
    graphs: list[Graph],
    model: ModelShape,
    recipe: Recipe,
    passes: list[PassRecord],
    certificate: Certificate | None,
    enable_thinking: bool | None,
    stop_ids: list[int],
) -> Manifest:
    """The manifest, whose `files` are filled in when they are all written; `passes` are those of the first graph."""
    return Manifest(
        schema_version=SCHEMA_VERSION,  # type: ignore[arg-type]  # the number that the schema names
        name=f"{checkpoint.id.rpartition('/')[2]}-{recipe.name}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tools=tool_versions(),
        source=Source(id=checkpoint.id, revision=checkpoint.revision, dtype=_dtype(checkpoint)),
        model=model,
        recipe=recipe,
        passes=passes,
        graphs=graphs,
        tokenizer=files.TOKENIZER,
        chat_template=files.CHAT_TEMPLATE,
        special_tokens=files.special_tokens(checkpoint),
        thinking=files.thinking_ids(checkpoint, family.thinking_tokens),
        enable_thinking=enable_thinking,
        stop_ids=stop_ids,
        sampling=family.presets(checkpoint.generation_config),
        certificate=certificate,
        files={},
    )


def _dtype(checkpoint: Checkpoint) -> str:
    return "/".join(sorted({entry.dtype for entry in checkpoint.tensors.values()}))
