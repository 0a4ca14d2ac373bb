"""What a checkpoint is for, and how one that embeds makes a vector of a text: what the files beside its weights say.

Knows the files of sentence-transformers (https://sbert.net/docs/sentence_transformer/usage/custom_models.html) and the
front matter of the Hub's cards. Must not know a family.
"""

import json
import re
from pathlib import Path
from typing import Any

from thinkport.export.checkpoint.licence import front_matter
from thinkport.export.checkpoint.small_files import read_json
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.runtime.artifact.manifest import Embedding, Task
from thinkport.runtime.prompt.tokenizer import Tokenizer

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
_KNOWN = ("Transformer", "Pooling", "Normalize")  # a vector's length is 1 in any case
_LAST = "lasttoken"
_RANKING = re.compile(r"^pipeline_tag:[ \t]*[\"']?text-ranking\b", re.MULTILINE)
_QUERY = "Instruct: {instruction}\nQuery:"  # https://huggingface.co/Qwen/Qwen3-Embedding-0.6B, get_detailed_instruct
_QUERIES = re.compile(r"(Instruct: )(.+)(\nQuery: ?)", re.DOTALL)


def task_of(folder: Path, asked: Task | None) -> Task:
    """The task that was `asked` for, or else what the files say: pooling embeds, a card's `text-ranking` reranks.

    Raises:
        CheckpointError: a file can't be read.
        UnsupportedModelError: it makes a vector otherwise than of its last token.
    """
    modules = _modules(folder)
    pools = "Pooling" in modules
    task = asked or (Task.EMBEDDING if pools else Task.RERANK if _is_ranked(folder) else Task.CHAT)
    if task is Task.EMBEDDING and pools:
        _check_modules(folder, modules)
    return task


def embedding_of(folder: Path, tokenizer: Tokenizer, dimensions: int) -> Embedding:
    """How the checkpoint embeds.

    Raises:
        CheckpointError: a file can't be read.
        UnsupportedModelError: its prompt for queries takes no instruction.
    """
    prompts = (read_json(folder / PROMPTS) or {}).get("prompts") or {}
    query = _QUERIES.fullmatch(prompts.get("query") or "")
    if prompts.get("query") and query is None:
        raise UnsupportedModelError(
            f"{PROMPTS} has the prompt {prompts['query']!r} for queries; expected {_QUERY!r} with an instruction"
        )
    start, end = tokenizer.surroundings
    return Embedding(
        dimensions=dimensions,
        prompt=_QUERY if query is None else f"{query[1]}{{instruction}}{query[3]}",
        instruction=None if query is None else query[2],
        document_prompt=prompts.get("document") or "",
        start_ids=start,
        end_ids=end,
    )


def _modules(folder: Path) -> dict[str, str]:
    """The folder of each module of sentence-transformers by its kind; empty where the checkpoint has none."""
    file = folder / MODULES
    if not file.is_file():
        return {}
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return {one["type"].rpartition(".")[2]: one["path"] for one in found}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file} can't be read as a list of modules ({error}): fetch it again") from error


def _check_modules(folder: Path, modules: dict[str, str]) -> None:
    others = sorted(modules.keys() - set(_KNOWN))
    if others:
        raise UnsupportedModelError(
            f"{MODULES} has the module {others[0]} behind the model: only pooling and normalization are supported"
        )
    file = folder / modules["Pooling"] / "config.json"
    if Path(modules["Pooling"]).name != modules["Pooling"]:
        raise CheckpointError(f"{MODULES} names {modules['Pooling']!r}, which isn't a folder of the checkpoint")
    config = read_json(file)
    if config is None:
        raise CheckpointError(f"{folder} has {MODULES} and no {modules['Pooling']}/config.json: fetch it again")
    old: list[Any] = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if on is True and "pooling_mode_" in name
    ]
    modes = old or [config.get("pooling_mode")]
    if modes != [_LAST]:
        raise UnsupportedModelError(
            f"{modules['Pooling']}/config.json pools by {' and '.join(map(str, modes))}: only {_LAST} is supported"
        )


def _is_ranked(folder: Path) -> bool:
    matter = front_matter(folder)
    return matter is not None and _RANKING.search(matter) is not None
