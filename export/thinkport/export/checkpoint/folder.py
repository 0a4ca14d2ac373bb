"""What lies in a checkpoint's folder: the chat template, and which file holds which tensor."""

from collections.abc import Mapping
from pathlib import Path

from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_header
from thinkport.export.checkpoint.small_files import read_json, read_small, unreadable
from thinkport.export.errors import CheckpointError

INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_DEFAULT, _TOOL_USE = "default", "tool_use"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read_chat_template(folder: Path) -> str | None:
    """The Jinja source of `chat_template.jinja`, or else of `tokenizer_config.json`.

    Of several, the default one, and `tool_use` where there are tools, as transformers chooses. None for a base model.

    Raises:
        CheckpointError: one can't be read or isn't a text, or several have names and none is the default.
    """
    default = _jinja(folder / "chat_template.jinja")
    with_tools = _jinja(folder / "additional_chat_templates" / f"{_TOOL_USE}.jinja")
    if default is None:
        named = _named_templates(folder)
        default, with_tools = named.get(_DEFAULT), with_tools or named.get(_TOOL_USE)
        if default is None and any(template is not None for template in named.values()):
            raise CheckpointError(
                f"{folder}: the chat templates in tokenizer_config.json are named {', '.join(named)}, and none is "
                "the default: call one of them default"
            )
    return default if default is None or with_tools is None else _chosen_by_tools(with_tools, default)


def _jinja(file: Path) -> str | None:
    try:
        return read_small(file).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{file} can't be read: {error}") from error


def _named_templates(folder: Path) -> dict[str, str | None]:
    """A text, a list `[{"name": …, "template": …}]`, or an object of texts by name."""
    found = (read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    if isinstance(found, list) and all(isinstance(item, dict) for item in found):
        found = {item.get("name"): item.get("template") for item in found}
    named = found if isinstance(found, dict) else {_DEFAULT: found}
    for name, template in named.items():
        if not isinstance(name, str) or not isinstance(template, str | None):
            raise CheckpointError(
                f"{folder}: the chat template in tokenizer_config.json is {found!r:.200}; expected a text, or a "
                "list of named ones: correct it, or remove it"
            )
    return named


def _chosen_by_tools(with_tools: str, default: str) -> str:
    """One template of two: Jinja drops a newline at the end of each, and one newline behind a block.

    The empty texts keep blanks at an end, which Jinja drops before a block; `{%+` does so too, in Python's Jinja only.
    """
    first, second = (template.removesuffix("\n") + "{{ '' }}" for template in (with_tools, default))
    return f"{{% if tools is defined and tools is not none %}}\n{first}{{% else %}}\n{second}{{% endif %}}"


def names_of_weights(folder: Path) -> list[str] | None:
    """The names of the tensors, as far as files that are here say them; None where none does."""
    if (folder / INDEX).is_file():
        weight_map = (read_json(folder / INDEX) or {}).get("weight_map")
        return [*weight_map] if isinstance(weight_map, dict) else None
    return [*tensor_entries(folder)] if any(folder.glob("*.safetensors")) else None


def tensor_entries(folder: Path) -> Mapping[str, TensorEntry]:
    """Every tensor of the folder by name: of `model.safetensors`, or of the shards that the index names.

    Raises:
        CheckpointError: no safetensors, a missing shard, an index that disagrees with its shards, a damaged file.
    """
    if not (folder / "model.safetensors").exists() and (folder / INDEX).exists():
        return _sharded(folder)
    files = sorted(file for file in folder.glob("*.safetensors") if file.name != ADAPTER_WEIGHTS)
    single = folder / "model.safetensors"
    if single in files or len(files) == 1:
        return read_header(single if single in files else files[0])
    if files:
        raise CheckpointError(f"{folder} has {len(files)} safetensors files but no {INDEX} that says which is which")
    raise _no_safetensors(folder)


def _sharded(folder: Path) -> dict[str, TensorEntry]:
    weight_map = (read_json(folder / INDEX) or {}).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) and file for file in weight_map.values()):
        raise CheckpointError(f"{folder / INDEX} has no weight_map from tensor names to files")
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        if Path(shard).name != shard or "\\" in shard:
            raise CheckpointError(f"{INDEX} names {shard!r}, which isn't a file of the checkpoint's own folder")
    missing = [shard for shard in shards if not (folder / shard).exists()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(f"{folder} lacks the shard {missing[0]}{more}, of {len(shards)}; fetch it again")
    entries: dict[str, TensorEntry] = {}
    for shard in shards:  # whole, as transformers reads them: an index may leave out a tensor
        for name, entry in read_header(folder / shard).items():
            if name in entries:
                raise CheckpointError(
                    f"{name} lies in {entries[name].file.name} and in {shard}; expected it once: save it again"
                )
            entries[name] = entry
    for name, shard in weight_map.items():
        if name not in entries or entries[name].file.name != shard:
            raise CheckpointError(f"{INDEX} says that {shard} holds {name}, and it doesn't; fetch both again")
    return entries


def _no_safetensors(folder: Path) -> CheckpointError:
    try:
        pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
        anything = any(folder.iterdir())
    except OSError as error:
        return unreadable(folder, error)
    if pickles:
        return CheckpointError(
            f"{folder} has its weights in {pickles[0]}: a pickle can run any code when it is loaded, so thinkport "
            "never loads one; convert it where you trust it: "
            "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder, safe_serialization=True)"
        )
    if not anything:
        return CheckpointError(f"{folder} is empty; expected config.json, tokenizer.json and *.safetensors")
    return CheckpointError(
        f"{folder} has no *.safetensors; expected model.safetensors, or shards and {INDEX} (weights in pickle files, "
        "such as *.bin, are never loaded)"
    )
