"""The checkpoint's files that an artifact carries along, and what they say of special tokens and stop ids.

Knows Hugging Face's file names. Must not know a graph.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.errors import CheckpointError
from thinkport.export.write.licence import licence_files
from thinkport.runtime.manifest import ThinkingIds

TOKENIZER = "tokenizer.json"
CHAT_TEMPLATE = "chat_template.jinja"
_COPIED = (TOKENIZER, "tokenizer_config.json", "generation_config.json", "config.json")
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


def copy_tokenizer_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy what lies beside the weights; the chat template gets a file of its own, wherever it was stored."""
    for name in (*_COPIED, *licence_files(checkpoint.folder)):
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, folder / name)
    (folder / CHAT_TEMPLATE).write_text(checkpoint.chat_template, encoding="utf-8", newline="\n")


def added_tokens(checkpoint: Checkpoint) -> dict[str, int]:
    """Ids of the tokenizer's added tokens (`<|im_end|>`, `<think>` …) by their text."""
    tokenizer = _json(checkpoint.folder / TOKENIZER)
    return {entry["content"]: int(entry["id"]) for entry in tokenizer.get("added_tokens", [])}


def thinking_ids(checkpoint: Checkpoint, tokens: tuple[str, str]) -> ThinkingIds | None:
    """Ids of the tokens that open and close a thought; None where the tokenizer lacks one."""
    ids = added_tokens(checkpoint)
    start, end = tokens
    return ThinkingIds(start=ids[start], end=ids[end]) if start in ids and end in ids else None


def special_tokens(checkpoint: Checkpoint) -> dict[str, str]:
    """The texts of bos, eos, pad and unk tokens, as a chat template may ask for them; absent ones are left out."""
    path = checkpoint.folder / "tokenizer_config.json"
    config = _json(path) if path.is_file() else {}
    texts = {key: _text(config.get(key)) for key in _SPECIAL}
    return {key: text for key, text in texts.items() if text is not None}


def stop_ids(checkpoint: Checkpoint) -> list[int]:
    """Ids that end a reply: generation_config's, else config's.

    Raises:
        CheckpointError: neither names one, so that a reply would never end.
    """
    for source in (checkpoint.generation_config or {}, checkpoint.config):
        found = source.get("eos_token_id")
        if found is not None:
            return [int(i) for i in found] if isinstance(found, list) else [int(found)]
    raise CheckpointError(
        f"neither generation_config.json nor config.json of {checkpoint.id} has eos_token_id: "
        "add the ids that end a reply"
    )


def id_of(name: str, checkpoint: Checkpoint) -> int | None:
    """An id such as `pad_token_id` from generation_config, else config."""
    for source in (checkpoint.generation_config or {}, checkpoint.config):
        if isinstance(source.get(name), int):
            return int(source[name])
    return None


def _text(token: str | Mapping[str, Any] | None) -> str | None:
    return token["content"] if isinstance(token, Mapping) else token


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} can't be read ({error}): fetch the checkpoint again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, expected an object: fetch the checkpoint again")
    return found
