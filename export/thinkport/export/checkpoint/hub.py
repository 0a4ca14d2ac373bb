"""Finds a checkpoint: a local folder, or an id on the Hugging Face Hub that is fetched into the local cache.

Knows huggingface_hub, which keeps the cache, resumes downloads and reads its own environment variables; must not know
what is in the files.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from thinkport.export.checkpoint.download_progress import Progress, reporting_bar
from thinkport.export.errors import CheckpointError

DESCRIPTION = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "*.safetensors.index.json",
    "LICENSE*",
    "NOTICE*",
    "README.md",  # its front matter names the licence
)
WEIGHTS = ("*.safetensors",)
HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class ResolvedCheckpoint:
    """Where a checkpoint is. `revision` is the commit that a Hub id was resolved to; None for a local folder."""

    folder: Path
    id: str
    revision: str | None


def resolve(
    ref: str | Path,
    *,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
    check: Callable[[ResolvedCheckpoint], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> ResolvedCheckpoint:
    """Find a local folder, or fetch `owner/name[@revision]`; without a network, what the local cache has whole.

    Args:
        ref: the folder or id.
        endpoint: the Hub's address; the library's own default (or its environment variable) if None.
        cache_dir: where fetched files are kept; the library's own default if None.
        check: called when all but the weights is there; what it raises keeps them from being fetched.
        progress: called with the bytes of weights fetched so far.

    Raises:
        CheckpointError: nothing is there, the Hub refuses, or it can't be reached; one sentence for each.
    """
    check = check or (lambda found: None)
    folder = Path(ref).expanduser()
    if folder.is_dir():
        local = ResolvedCheckpoint(folder, folder.resolve().name, None)
        check(local)
        return local
    match = HUB_ID.fullmatch(str(ref))
    if folder.exists():
        raise CheckpointError(f"{ref} is a file; expected a checkpoint's folder or a Hub id such as Qwen/Qwen3-0.6B")
    if isinstance(ref, Path) or match is None:
        raise CheckpointError(f"{ref} is neither a folder nor a Hub id such as Qwen/Qwen3-0.6B or owner/name@revision")
    fetch = partial(_fetch, match["id"], wanted=str(ref), endpoint=endpoint, cache_dir=cache_dir)
    described = fetch(match["revision"], DESCRIPTION)
    commit = described.name  # the cache names a snapshot's folder by its commit
    check(ResolvedCheckpoint(described, match["id"], commit))
    return ResolvedCheckpoint(fetch(commit, WEIGHTS, progress=progress), match["id"], commit)


def _fetch(
    repo: str,
    revision: str | None,
    patterns: Sequence[str],
    *,
    wanted: str,
    endpoint: str | None,
    cache_dir: Path | None,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                endpoint=endpoint,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                ignore_patterns=["*/*"],  # a pattern's star also matches slashes
                tqdm_class=reporting_bar(progress),
            )
        )
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{repo} is gated: accept its terms on its Hub page, then log in with `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{repo} doesn't exist on the Hub, or is private: check the name, or log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} has no branch, tag or commit {revision!r}: check its list of files") from error
    except errors.LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{wanted} isn't whole in the local cache and the Hub can't be reached: connect, or give a local folder"
        ) from error
    except Exception as error:  # the HTTP library's own kinds differ between versions; none says what to do
        raise CheckpointError(f"{wanted} could not be fetched: {_first_line(error)}; try again to resume") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
