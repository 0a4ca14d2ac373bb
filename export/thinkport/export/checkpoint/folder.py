"""What lies in a checkpoint's folder: the chat template, and which file holds which tensor."""

from collections.abc import Mapping
from pathlib import Path

from thinkport.export.checkpoint.safetensors_file import TensorEntry, read_header
from thinkport.export.checkpoint.small_files import read_json, read_small, unreadable
from thinkport.export.errors import CheckpointError

INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read_chat_template(folder: Path) -> str | None:
    """The Jinja source of `chat_template.jinja`, or else of `tokenizer_config.json`; of several, the default one.

    None for a base model, which has none.

    Raises:
        CheckpointError: it can't be read, or isn't a text.
    """
    file = folder / "chat_template.jinja"
    try:
        return read_small(file).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        template = (read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{file} can't be read: {error}") from error
    if isinstance(template, list) and all(isinstance(item, dict) for item in template):
        # an older form: [{"name": …, "template": …}]
        template = next((item.get("template") for item in template if item.get("name") == "default"), None)
    if template is not None and not isinstance(template, str):
        raise CheckpointError(
            f"{folder}: the chat template in tokenizer_config.json is {template!r}; expected a text, or a "
            "list of named ones: correct it, or remove it"
        )
    return template


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
    headers = {shard: read_header(folder / shard) for shard in shards}
    for name, shard in weight_map.items():
        if name not in headers[shard]:
            raise CheckpointError(f"{INDEX} says that {shard} holds {name}, and it doesn't; fetch both again")
    return {name: headers[shard][name] for name, shard in weight_map.items()}


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
