"""The names that tensors have in a causal LM, whatever a training program put around them.

Knows the wrappers of PyTorch: `_orig_mod` of `torch.compile`, `module` of DistributedDataParallel, and those of FSDP
and of activation checkpoints. Must not know which tensors a model has.
"""

from collections.abc import Mapping
from dataclasses import replace

from thinkport.export.checkpoint.safetensors_file import TensorEntry
from thinkport.export.errors import CheckpointError

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_FIRST = "module"
_HEAD = "lm_head."


def unwrapped(tensors: Mapping[str, TensorEntry]) -> tuple[dict[str, TensorEntry], list[str]]:
    """The tensors without wrappers in their names, and in words what was taken off; nothing where none was.

    Raises:
        CheckpointError: two tensors would have one name.
    """
    found: dict[str, TensorEntry] = {}
    wrappers: dict[str, None] = {}
    for name, entry in tensors.items():
        plain, taken = _plain(name)
        wrappers |= dict.fromkeys(taken)
        if plain in found:
            raise CheckpointError(f"{name} and {found[plain].name} would both be {plain}: save the checkpoint again")
        found[plain] = entry if plain == name else replace(entry, name=plain)
    if not wrappers:
        return found, []
    names = " and ".join(f"{wrapper}." for wrapper in wrappers)
    return found, [f"tensors are named without {names}, which training programs put around a model"]


def as_causal(tensors: Mapping[str, TensorEntry]) -> dict[str, TensorEntry]:
    """The tensors by their names in a causal LM: without one around it, transformers saves a model's as they are."""
    if "embed_tokens.weight" not in tensors:
        return dict(tensors)
    named = {name if name.startswith(_HEAD) else f"model.{name}": entry for name, entry in tensors.items()}
    return {name: replace(entry, name=name) for name, entry in named.items()}


def _plain(name: str) -> tuple[str, list[str]]:
    parts = name.split(".")
    kept = [part for part in parts if part not in _WRAPPERS]
    taken = [part for part in parts if part in _WRAPPERS]
    while kept and kept[0] == _FIRST:
        taken.append(kept.pop(0))
    return ".".join(kept), taken
