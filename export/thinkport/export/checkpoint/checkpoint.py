"""A Hugging Face checkpoint: its configuration, its tokenizer files, and its weights as float32 rows on demand, with
hidden states turned and rows divided where that was asked for.

Knows files; must not know any model: what the tensors should be is the family's business.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.adapter import merged, read_adapter
from thinkport.export.checkpoint.companions import check_companions, check_small_files
from thinkport.export.checkpoint.folder import names_of_weights, read_chat_template, tensor_entries
from thinkport.export.checkpoint.gguf import gguf_file, gguf_tensors
from thinkport.export.checkpoint.hub import ResolvedCheckpoint, resolve
from thinkport.export.checkpoint.purpose import task_of
from thinkport.export.checkpoint.quantized import check_method, plain_config, with_decoded
from thinkport.export.checkpoint.safetensors_file import TensorEntry
from thinkport.export.checkpoint.small_files import read_json
from thinkport.export.checkpoint.tensor_names import as_causal, unwrapped
from thinkport.export.checkpoint.tied_tables import TIED, told_apart
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
        notes: what was found and decided where its files disagree or tensors had odd names, in sentences.
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
    notes: tuple[str, ...] = ()

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
        _check_usable(entry, block, start)
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
    with as_expected(ref):
        found = resolve(
            ref,
            endpoint=endpoint,
            cache_dir=cache_dir,
            check=lambda found: check(_describe(found, task, adapter)),
            progress=progress,
        )
        described = _with_tensors(_describe(found, task, adapter), _gguf(found))
        if opened is None:
            return described
        tied = bool(described.config.get(TIED))
        return replace(described, tensors=merged(described.tensors, opened, tied=tied), adapter=opened.id)


@contextmanager
def as_expected(ref: str | Path) -> Iterator[None]:
    """Say in a sentence that a file of a checkpoint has another form than such files have.

    Raises:
        CheckpointError: in place of what Python raises over a text where a number or a list was expected.
    """
    try:
        yield
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(
            f"{ref} holds a value of another kind than such files have ({error!r:.300}): fetch the checkpoint again, "
            "or correct its JSON files"
        ) from error


def _with_tensors(described: Checkpoint, gguf: Path | None) -> Checkpoint:
    """With every tensor by its name in a causal LM, and with the configuration that the weights bear out."""
    config, task = described.config, described.task
    plain, notes = ({}, []) if gguf is not None else unwrapped(tensor_entries(described.folder))
    tensors = as_causal(with_decoded(plain, config) if gguf is None else gguf_tensors(gguf, config))
    if task is not Task.EMBEDDING:  # which has no lm_head
        tensors, config, told = told_apart(tensors, config)
        notes = [*notes, *told]
    return replace(described, tensors=tensors, config=config, notes=(*described.notes, *notes))


def _describe(found: ResolvedCheckpoint, task: Task | None, adapter: Path | None) -> Checkpoint:
    """All but the tensors."""
    folder = found.folder
    if (folder / MANIFEST_NAME).is_file():
        raise CheckpointError(f"{folder} is an artifact already: give the checkpoint that it was made from")
    config = read_json(folder / "config.json")
    check_companions(folder, config, adapter)
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
    check_method(config, names_of_weights(folder) if gguf is None else None)
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"{folder} has no tokenizer.json; save one beside the weights with save_pretrained")
    check_small_files(folder)
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


def _gguf(found: ResolvedCheckpoint) -> Path | None:
    return found.gguf or gguf_file(found.folder)


def _check_usable(entry: TensorEntry, block: NDArray[np.float32], start: int) -> None:
    """Refuse NaN, infinities, and weights so large that the sum of their squares is one in float32."""
    flat = block.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(flat @ flat):  # a third of the cost of looking at every weight
            return
        worst = np.unravel_index(np.argmax(np.where(np.isnan(block), np.inf, np.abs(block))), block.shape)
    where = [int(at) for at in worst]
    where[0] += start
    raise CheckpointError(
        f"{entry.name} holds {block[worst]:g} at {where} in {entry.source}: that is damaged, or its training diverged"
    )
