"""A LoRA adapter in peft's form, merged into a checkpoint's weights as they are read.

A merged weight is W + (B @ A) * scaling, rounded to W's own type, bit for bit as peft's `merge_and_unload` computes it
(peft's `tuners/lora/layer.py`; LoRA, arXiv 2106.09685). Of one matrix at a time the whole product is held: products of
row blocks may round otherwise.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_header, read_rows
from thinkport.export.checkpoint.small_files import read_json
from thinkport.export.errors import CheckpointError, UnsupportedModelError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_EMBEDDING = "lora_embedding_A"
_PAIRS = {"lora_A.weight": "lora_B.weight", _EMBEDDING: "lora_embedding_B"}
_PARTS = tuple(f".{part}" for pair in _PAIRS.items() for part in pair)
_SAVED = (".modules_to_save", ".base_layer")  # older files keep these in the names of weights that are stored whole
_TABLES = ("model.embed_tokens.weight", "lm_head.weight")
# Each makes more of a layer than W + (B @ A) * scaling, or changes W before.
_MORE_THAN_LORA = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
# A stranger's pattern: at most two parts that repeat, and no group, so that no search takes long.
_PATTERN = re.compile(r"(?!(?:[^*+]*[*+]){3})(?!.*\)[*+])[\w.\\^$|*+?()\[\]-]{1,200}")
_MERGE = "merge it with peft's merge_and_unload() and export the folder that save_pretrained writes"


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An opened adapter: its folder, `adapter_config.json`, and its tensors without peft's prefix."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name


@dataclass
class _LastProduct:
    """The product of the matrix that is being read, which many blocks of rows want."""

    name: str | None = None
    product: Any = None
    lock: Lock = field(default_factory=Lock)


@dataclass(frozen=True)
class MergedTensor(TensorEntry):
    """A weight with an adapter's product added; `flipped` is an embedding's, whose product is transposed."""

    base: TensorEntry
    down: TensorEntry
    up: TensorEntry
    scaling: float
    flipped: bool
    last: _LastProduct = field(compare=False)

    @property
    def source(self) -> str:
        """See `TensorEntry`."""
        return f"{self.base.source} with {self.down.file.parent.name}/{self.down.file.name} merged"

    @property
    def is_float(self) -> bool:
        """See `TensorEntry`."""
        return self.base.is_float

    @property
    def is_quantized(self) -> bool:
        """See `TensorEntry`."""
        return self.base.is_quantized

    @property
    def obstacle(self) -> str | None:
        """See `TensorEntry`."""
        return "an adapter is merged into it" if self.is_quantized else None

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `TensorEntry`."""
        import torch

        kinds = {"BF16": torch.bfloat16, "F16": torch.float16}
        weight = torch.from_numpy(self.base.rows(start, stop)).to(kinds.get(self.base.dtype, torch.float32))
        added = self._product()[start:stop]
        weight += added.to(weight.dtype) if self.flipped else added
        return np.asarray(weight.float().numpy())

    def _product(self) -> Any:
        """(B @ A) * scaling in float32, of the shape of the weight."""
        import torch

        with self.last.lock:
            if self.last.name != self.name:
                down, up = (torch.from_numpy(read_rows(part, 0, part.shape[0])) for part in (self.down, self.up))
                product = up @ down
                self.last.product = (product.T if self.flipped else product) * self.scaling
                self.last.name = self.name
            return self.last.product


def read_adapter(folder: Path) -> Adapter:
    """Open an adapter's folder.

    Raises:
        CheckpointError: it is no adapter of peft's, or a file is missing or damaged.
        UnsupportedModelError: another method than LoRA, or a variant that does more than add a product.
    """
    config = read_json(folder / CONFIG)
    if config is None:
        raise CheckpointError(f"{folder} has no {CONFIG}; expected the folder of an adapter that peft saved")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise UnsupportedModelError(f"{folder} is an adapter of type {kind!r}: LoRA is merged here; {_MERGE}")
    found = [name for name in _MORE_THAN_LORA if config.get(name)]
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        found.append(f"init_lora_weights {config['init_lora_weights']!r}")
    if config.get("bias", "none") != "none":
        found.append(f"bias {config['bias']!r}")
    if found:
        raise UnsupportedModelError(f"{folder} is a LoRA with {', '.join(found)}: that is not merged here; {_MERGE}")
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS}; weights in pickle files, such as *.bin, are never loaded")
    tensors = {name.removeprefix(_PREFIX): entry for name, entry in read_header(folder / WEIGHTS).items()}
    if not tensors:
        raise CheckpointError(
            f"{folder / WEIGHTS} holds no tensor, so there is nothing to merge: save the adapter again"
        )
    return Adapter(folder=folder, config=config, tensors=tensors)


def merged(tensors: Mapping[str, TensorEntry], adapter: Adapter, *, tied: bool) -> dict[str, TensorEntry]:
    """A checkpoint's tensors with an adapter merged; `tied` says whether embedding and lm_head are one.

    Raises:
        CheckpointError: the adapter is of another model, or lacks a tensor.
        UnsupportedModelError: it changes one of two tied tables.
    """
    changed = dict(_stored_whole(tensors, adapter))
    changed |= dict(_added_to({**tensors, **changed}, adapter))
    touched = [name for name in _TABLES if name in changed]
    if tied and touched:
        raise UnsupportedModelError(
            f"{adapter.folder} changes {' and '.join(touched)}, and the model's embedding and lm_head are one table: "
            f"{_MERGE}"
        )
    return {**tensors, **changed}


def _stored_whole(tensors: Mapping[str, TensorEntry], adapter: Adapter) -> Iterator[tuple[str, TensorEntry]]:
    """Every weight that the adapter replaces: modules_to_save, and tables that peft stores beside their products."""
    for name, entry in adapter.tensors.items():
        if name.endswith(_PARTS):
            continue
        weight = name
        for part in _SAVED:
            weight = weight.replace(part, "")
        base = _base(tensors, adapter, weight)
        if base.shape != entry.shape:
            raise _other_model(adapter, weight, entry.shape, base.shape)
        yield weight, replace(entry, name=weight)


def _added_to(tensors: Mapping[str, TensorEntry], adapter: Adapter) -> Iterator[tuple[str, TensorEntry]]:
    """Every weight that the adapter adds a product to."""
    last = _LastProduct()
    for down_part, up_part in _PAIRS.items():
        for name in adapter.tensors:
            other = f"{name.removesuffix(up_part)}{down_part}"
            if name.endswith(f".{up_part}") and other not in adapter.tensors:
                raise CheckpointError(f"{adapter.folder} has {name} and lacks {other}: save the adapter again")
        for name, down in adapter.tensors.items():
            if not name.endswith(f".{down_part}"):
                continue
            module = name.removesuffix(f".{down_part}")
            up = adapter.tensors.get(f"{module}.{up_part}")
            if up is None:
                raise CheckpointError(
                    f"{adapter.folder} has {name} and lacks {module}.{up_part}: save the adapter again"
                )
            base = _base(tensors, adapter, f"{module}.weight")
            yield base.name, _merged(base, adapter, module, down, up, last)


def _merged(
    base: TensorEntry, adapter: Adapter, module: str, down: TensorEntry, up: TensorEntry, last: _LastProduct
) -> MergedTensor:
    flipped = down.name.endswith(_EMBEDDING)
    rank = _pattern(adapter.config, "rank_pattern", module, adapter.config.get("r"))
    alpha = _pattern(adapter.config, "alpha_pattern", module, adapter.config.get("lora_alpha"))
    if type(rank) is not int or rank < 1 or isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise CheckpointError(
            f"{adapter.folder / CONFIG}: r is {rank!r} and lora_alpha is {alpha!r} for {module}; expected numbers, r a "
            "whole one above 0: save the adapter again"
        )
    stored = down.shape[0] if down.shape else 0
    if stored != rank and up.shape[-1:] == (stored,):
        raise CheckpointError(
            f"{adapter.folder / CONFIG} gives {module} the rank {rank}, and its tensors have {stored}: correct r or "
            "rank_pattern, or save the adapter again"
        )
    n, k = base.shape[::-1] if flipped else base.shape
    for part, expected in ((down, (rank, k)), (up, (n, rank))):
        if part.shape != expected:
            raise _other_model(adapter, part.name, part.shape, expected)
    scaling = alpha / math.sqrt(rank) if adapter.config.get("use_rslora") else alpha / rank
    plain = base.name, base.dtype, base.shape
    return MergedTensor(*plain, *base.place, base=base, down=down, up=up, scaling=scaling, flipped=flipped, last=last)


def _pattern(config: Mapping[str, Any], key: str, module: str, default: Any) -> Any:
    """A number that patterns of module names may change; the first that matches the end of the name counts."""
    for pattern, value in (config.get(key) or {}).items():
        if _PATTERN.fullmatch(pattern) is None:
            raise CheckpointError(
                f"{CONFIG}: {key} has {pattern!r:.200}; expected a module's name, or a short pattern of one "
                "without groups that repeat"
            )
        try:
            found = re.match(rf"(.*\.)?({pattern})$", module)
        except re.error as error:
            raise CheckpointError(f"{CONFIG}: {key} has {pattern!r:.200}, which is no pattern: {error}") from error
        if found:
            return value
    return default


def _base(tensors: Mapping[str, TensorEntry], adapter: Adapter, name: str) -> TensorEntry:
    if name not in tensors:
        raise CheckpointError(
            f"{adapter.folder} changes {name}, which the checkpoint hasn't: give the checkpoint that it was trained "
            f"on, which {CONFIG} calls {adapter.config.get('base_model_name_or_path')!r}"
        )
    return tensors[name]


def _other_model(adapter: Adapter, name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> CheckpointError:
    trained_on = adapter.config.get("base_model_name_or_path")
    return CheckpointError(
        f"{name} is {list(found)} in {adapter.folder}, and the checkpoint makes it {list(expected)}: give the one "
        f"that the adapter was trained on, which {CONFIG} calls {trained_on!r}"
    )
