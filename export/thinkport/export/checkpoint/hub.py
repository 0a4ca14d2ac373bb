"""Finds a checkpoint: a local folder, or an id on the Hugging Face Hub that is fetched into the local cache.

Knows huggingface_hub, which keeps the cache, resumes downloads and reads its own environment variables; must not know
what is in the files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkport.export.errors import CheckpointError
from thinkport.runtime.hub.download_progress import Progress, reporting_bar
from thinkport.runtime.hub.repository import refusal, repository_named

DESCRIPTION = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
    "*.safetensors.index.json",
    "adapter_config.json",  # an adapter beside a model, or in the place of one
    "LICENSE*",
    "NOTICE*",
    "README.md",  # its front matter names the licence and the task
    "modules.json",
    "config_sentence_transformers.json",
)
MODULE_CONFIGS = ("*/config.json",)  # in folders that modules.json names
WEIGHTS = ("*.safetensors",)
_NESTED = ("*/*.safetensors*", "LICENSE*/*", "NOTICE*/*")  # a pattern's star also matches slashes: none of these


@dataclass(frozen=True)
class ResolvedCheckpoint:
    """Where a checkpoint is. `revision` is the commit that a Hub id was resolved to; None for a local folder.

    `gguf` is the file that was named, whose folder has the other files.
    """

    folder: Path
    id: str
    revision: str | None
    gguf: Path | None = None


def resolve(
    ref: str | Path,
    *,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
    check: Callable[[ResolvedCheckpoint], None] = lambda _: None,
    progress: Callable[[Progress], None] | None = None,
) -> ResolvedCheckpoint:
    """Find a local folder, or fetch `owner/name[@revision]`; without a network, what the local cache has whole.

    Args:
        ref: the folder, the .gguf file, or the id.
        endpoint: the Hub's address; the library's own default (or its environment variable) if None.
        cache_dir: where fetched files are kept; the library's own default if None.
        check: called when all but the weights is there; what it raises keeps them from being fetched.
        progress: called with the bytes of weights fetched so far.

    Raises:
        CheckpointError: nothing is there, the Hub refuses, or it can't be reached; one sentence for each.
    """
    folder = Path(ref).expanduser()
    if folder.is_dir():
        local = ResolvedCheckpoint(folder, folder.resolve().name, None)
        check(local)
        return local
    if folder.is_file() and folder.suffix == ".gguf":
        local = ResolvedCheckpoint(folder.parent, folder.stem, None, gguf=folder)
        check(local)
        return local
    wanted = repository_named(str(ref))
    if folder.exists():
        raise CheckpointError(
            f"{ref} is a file; expected a checkpoint's folder, a .gguf file or a Hub id such as Qwen/Qwen3-0.6B"
        )
    if isinstance(ref, Path) or wanted is None:
        raise CheckpointError(f"{ref} is neither a folder nor a Hub id such as Qwen/Qwen3-0.6B or owner/name@revision")

    def fetch(
        revision: str | None,
        patterns: Sequence[str],
        progress: Callable[[Progress], None] | None = None,
    ) -> Path:
        from huggingface_hub import snapshot_download

        try:
            found = snapshot_download(
                wanted.id,
                revision=revision,
                endpoint=endpoint,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                ignore_patterns=list(_NESTED),
                tqdm_class=reporting_bar(progress),
            )
        except Exception as error:
            raise CheckpointError(refusal(error, wanted)) from error
        return Path(found)

    described = fetch(wanted.revision, DESCRIPTION)
    commit = described.name  # the cache names a snapshot's folder by its commit
    if (described / "modules.json").is_file():
        fetch(commit, MODULE_CONFIGS)
    check(ResolvedCheckpoint(described, wanted.id, commit))
    return ResolvedCheckpoint(fetch(commit, WEIGHTS, progress), wanted.id, commit)
