"""What else lies in a checkpoint's folder: adapters that would be left out, and files that an artifact takes along.

Knows peft's and Hugging Face's file names. Must not know what is in the weights.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkport.export.checkpoint.folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from thinkport.export.checkpoint.licence import licence_files
from thinkport.export.checkpoint.small_files import LFS, check_inside, lfs_pointer, read_json
from thinkport.export.errors import CheckpointError

COPIED = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json")
_READ = (*COPIED, "chat_template.jinja", "README.md")


def check_companions(folder: Path, config: Mapping[str, Any] | None, adapter: Path | None) -> None:
    """Refuse an adapter in the place of a checkpoint, and one beside it that nobody asked to merge.

    `config` is the folder's config.json, None where there is none; `adapter` is the folder of the one that is merged.

    Raises:
        CheckpointError: with what to do.
    """
    if not any((folder / name).exists() for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)):
        return
    base = (read_json(folder / ADAPTER_CONFIG) or {}).get("base_model_name_or_path")
    if config is None:
        trained_on = f"the checkpoint that it was trained on, {base!r}," if base else "the checkpoint it was trained on"
        raise CheckpointError(
            f"{folder} is an adapter and no checkpoint: give {trained_on} and --adapter with the adapter's folder"
        )
    if adapter is None or adapter.resolve() != folder.resolve():
        raise CheckpointError(
            f"{folder} also holds an adapter ({ADAPTER_CONFIG} or {ADAPTER_WEIGHTS}), which would be left out: merge "
            "it with --adapter and a folder that holds it, or move its two files away if it is merged already"
        )


def check_small_files(folder: Path) -> None:
    """Refuse what an artifact would carry along though it is not the checkpoint's.

    Raises:
        CheckpointError: a link out of the folder, or a pointer of Git LFS.
    """
    for name in (*_READ, *licence_files(folder)):
        file = folder / name
        check_inside(file)
        if file.is_file():
            with file.open("rb") as stream:
                if stream.read(len(LFS)) == LFS:
                    raise lfs_pointer(file)
