"""A Hugging Face checkpoint: its configuration, its tokenizer files, and its weights as float32 rows on demand, with
hidden states turned and rows divided where that was asked for.

Knows files; must not know any model: what the tensors should be is the family's business.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.adapter import merged, read_adapter
from thinkport.export.checkpoint.folder import read_chat_template, read_json, tensor_entries
from thinkport.export.checkpoint.gguf import gguf_file, gguf_tensors
from thinkport.export.checkpoint.hub import ResolvedCheckpoint, resolve
from thinkport.export.checkpoint.purpose import task_of
from thinkport.export.checkpoint.quantized import check_method, plain_config, with_decoded
from thinkport.export.checkpoint.safetensors_file import TensorEntry
from thinkport.export.errors import CheckpointError
from thinkport.export.quantize.integers import IntegerForm, Integers
from thinkport.export.quantize.rotation import Rotation
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, Task
from thinkport.runtime.hub.download_progress import Progress


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. Nothing is held open; all methods may be called from several threads.

    Attributes:
        folder: where its files lie.
        id: `owner/name` on the Hub, or the folder's name.
        revision: the commit that was resolved; None for a local folder.
        config: `config.json`.
        generation_config: `generation_config.json`, or None where there is none.
        chat_template: the Jinja source of the default template; None for a base model, which has none.
        tensors: every tensor by name; one that is stored quantized goes by the name of what it stands for, and one of a
            model that was saved without lm_head by its name in a causal LM.
        task: what it is for.
        quantized: whether some weights may be stored so, by what config.json and the kind of file say.
        adapter: the id of the adapter that is merged into the tensors; None for none.
        rotation: how tensors are turned when they are read; None where hidden states stay as they are.
        rows_by: what rows are divided by when they are read, float32 (size,) by tensor name.
    """

    folder: Path
    id: str
    revision: str | None
    config: dict[str, Any]
    generation_config: dict[str, Any] | None
    chat_template: str | None
    tensors: Mapping[str, TensorEntry]
    task: Task = Task.CHAT
    quantized: bool = False
    adapter: str | None = None
    rotation: Rotation | None = None
    rows_by: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Rows start..stop of a tensor as float32 (stop - start, *shape[1:]), a fresh array.

        Raises:
            CheckpointError: no such tensor, a dtype that isn't bf16, fp16 or fp32, NaN or infinity among the weights,
                or a file that can't be read any more.
        """
        stored = partial(self._stored, self._entry(name))
        block = stored(start, stop) if self.rotation is None else self.rotation.rows(name, start, stop, stored)
        if name in self.rows_by:
            block /= self.rows_by[name][start:stop].reshape(-1, *[1] * (block.ndim - 1))
        return block

    @staticmethod
    def _stored(entry: TensorEntry, start: int, stop: int) -> NDArray[np.float32]:
        block = entry.rows(start, stop)
        _check_finite(entry, block, start)
        return block

    def divided(self, rows_by: Mapping[str, NDArray[np.float32]]) -> "Checkpoint":
        """The checkpoint with rows of tensors divided when they are read, each by its own float32 (rows,)."""
        return replace(self, rows_by={**self.rows_by, **rows_by})

    def integers(self, name: str, start: int, stop: int, form: IntegerForm) -> Integers:
        """The integers of rows start..stop of a tensor that has them, in groups of `form`.

        Raises:
            CheckpointError: a scale is no number, or the file can't be read any more.
        """
        assert self.rotation is None, f"{name} is turned: its integers are not"
        assert name not in self.rows_by, f"{name} is scaled: its integers are not"
        entry = self._entry(name)
        found = entry.integers(start, stop)
        if not np.isfinite(found.scales).all():
            raise CheckpointError(f"{name} has a scale that is no number in {entry.file.name}: it is damaged")
        return found.in_groups(form)

    def blocks(self, name: str, max_bytes: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first row, float32 rows) over a whole tensor, each block at most `max_bytes` or one row."""
        entry = self._entry(name)
        step = max(1, max_bytes // max(1, 4 * entry.row_weights))
        for start in range(0, entry.shape[0], step):
            yield start, self.rows(name, start, min(start + step, entry.shape[0]))

    def read(self, name: str) -> NDArray[np.float32]:
        """A whole tensor as float32; for norms and other small ones."""
        return self.rows(name, 0, self._entry(name).shape[0])

    def _entry(self, name: str) -> TensorEntry:
        if name not in self.tensors:
            raise CheckpointError(f"{self.id} has no tensor {name}")
        return self.tensors[name]


def open_checkpoint(
    ref: str | Path,
    *,
    adapter: Path | None = None,
    task: Task | None = None,
    endpoint: str | None = None,
    cache_dir: Path | None = None,
    check: Callable[[Checkpoint], None] = lambda _: None,
    progress: Callable[[Progress], None] | None = None,
) -> Checkpoint:
    """Open a local folder, a .gguf file with config.json and tokenizer.json beside it, or a Hub id
    `owner/name[@revision]`, fetching what isn't in the local cache.

    Reads configuration and headers, no weight.

    Args:
        ref: the folder, file or id.
        adapter: the folder of a LoRA adapter to merge.
        task: what it is to be exported for; None is what its files say.
        endpoint: the Hub's address; the library's own default (or its environment variable) if None.
        cache_dir: where fetched files are kept; the library's own default if None.
        check: called with the checkpoint before any weight is fetched, without tensors; it may refuse by raising.
        progress: called with the bytes of weights fetched so far.

    Raises:
        CheckpointError: it can't be found, fetched or read, or a file is missing, damaged or contradicts another.
        UnsupportedModelError: its weights are quantized in a way that can't be read, or it embeds in one.
    """
    opened = None if adapter is None else read_adapter(adapter)
    found = resolve(
        ref,
        endpoint=endpoint,
        cache_dir=cache_dir,
        check=lambda found: check(_describe(found, task)),
        progress=progress,
    )
    described, gguf = _describe(found, task), _gguf(found)
    config = described.config
    stored = with_decoded(tensor_entries(found.folder), config) if gguf is None else gguf_tensors(gguf, config)
    tensors = _as_causal(stored)
    if opened is None:
        return replace(described, tensors=tensors)
    tied = bool(config.get("tie_word_embeddings"))
    return replace(described, tensors=merged(tensors, opened, tied=tied), adapter=opened.id)


def _describe(found: ResolvedCheckpoint, task: Task | None) -> Checkpoint:
    """All but the tensors."""
    folder = found.folder
    if (folder / MANIFEST_NAME).is_file():
        raise CheckpointError(f"{folder} is an artifact already: give the checkpoint that it was made from")
    config = read_json(folder / "config.json")
    gguf = _gguf(found)
    if gguf is not None and (config is None or not (folder / "tokenizer.json").is_file()):
        raise CheckpointError(
            f"{gguf} has no config.json and tokenizer.json beside it, and they can't be made of it exactly: put those "
            "of the model that it was made from there: hf download OWNER/MODEL config.json generation_config.json "
            f"tokenizer.json tokenizer_config.json --local-dir {folder}"
        )
    if config is None:
        if found.revision is None:
            tensor_entries(folder)  # an empty folder should be called that
        raise CheckpointError(f"{folder} has no config.json; expected a Hugging Face checkpoint")
    check_method(config)
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"{folder} has no tokenizer.json; save one beside the weights with save_pretrained")
    return Checkpoint(
        folder=folder,
        id=found.id,
        revision=found.revision,
        config=config,
        generation_config=read_json(folder / "generation_config.json"),
        chat_template=read_chat_template(folder),
        tensors={},
        task=task_of(folder, task),
        quantized=gguf is not None or plain_config(config) != config,
    )


def _as_causal(tensors: Mapping[str, TensorEntry]) -> Mapping[str, TensorEntry]:
    """The tensors by their names in a causal LM: without one around it, transformers saves a model's as they are."""
    bare = "embed_tokens.weight" in tensors
    return {f"model.{name}": entry for name, entry in tensors.items()} if bare else tensors


def _gguf(found: ResolvedCheckpoint) -> Path | None:
    return found.gguf or gguf_file(found.folder)


def _check_finite(entry: TensorEntry, block: NDArray[np.float32], start: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum()):  # a third of the cost of looking at every weight
            return
    bad = np.argwhere(~np.isfinite(block))
    if len(bad):
        where = bad[0].copy()
        where[0] += start
        value = block[tuple(bad[0])]
        raise CheckpointError(
            f"{entry.name} holds {value} at {where.tolist()} in {entry.file.name}: "
            "the checkpoint is damaged or its training diverged"
        )
