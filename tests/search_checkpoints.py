"""Made-up checkpoints that embed and that rerank, as sentence-transformers and transformers lay them out."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

NANO = Path(__file__).parents[1] / "artifacts" / "checkpoints" / "nano-qwen3"
END = "<|endoftext|>"
QUERY = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
TABLE = "model.embed_tokens.weight"
_MODULES = ("Transformer", "Pooling", "Normalize")


def embedding_checkpoint(source: Path, folder: Path, **changes: Any) -> Path:
    """A causal LM's folder as Qwen3-Embedding is published: no prefix on the tensors, no lm_head, `modules.json` beside
    it, and a tokenizer that ends a text itself. `changes` are of config.json.
    """
    _copy(source, folder, changes)
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("model."): rows for name, rows in tensors.items() if name != "lm_head.weight"}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    modules = [
        {
            "idx": at,
            "name": str(at),
            "path": f"{at}_{kind}" if at else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for at, kind in enumerate(_MODULES)
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": QUERY, "document": ""}})
    write_json(
        folder / "1_Pooling" / "config.json", {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}
    )
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["post_processor"] = _ending(tokenizer)
    write_json(folder / "tokenizer.json", tokenizer)
    return folder


def reranker_checkpoint(source: Path, folder: Path, **changes: Any) -> Path:
    """A causal LM's folder whose tokenizer has a token for each answer, with a card that names the task."""
    _copy(source, folder, changes)
    for answer in ("yes", "no"):
        _merge(answer, folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\npipeline_tag: text-ranking\n---\n", encoding="utf-8")
    return folder


def write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def _copy(source: Path, folder: Path, changes: Mapping[str, Any]) -> None:
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", config | changes)


def _ending(tokenizer: Mapping[str, Any]) -> dict[str, Any]:
    """A text and then the end token, in the `tokenizers` library's words."""
    end = next(token["id"] for token in tokenizer["added_tokens"] if token["content"] == END)
    text, last = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": END, "type_id": 0}}
    processor = {
        "type": "TemplateProcessing",
        "single": [text, last],
        "pair": [text, last],
        "special_tokens": {END: {"id": END, "ids": [end], "tokens": [END]}},
    }
    before = tokenizer["post_processor"]
    return {"type": "Sequence", "processors": [*([before] if before else []), processor]}


def _merge(word: str, folder: Path) -> None:
    """Make one token of a word that the tokenizer makes several of; the embedding gets 32 rows more for new ids."""
    file = folder / "tokenizer.json"
    parts = Tokenizer.from_file(str(file)).encode(word, add_special_tokens=False).tokens
    if len(parts) == 1:
        return
    tokenizer, config = (json.loads((folder / name).read_text("utf-8")) for name in (file.name, "config.json"))
    for at in range(1, len(parts)):
        merged, number = "".join(parts[: at + 1]), config["vocab_size"] + at - 1
        tokenizer["model"]["merges"].append(["".join(parts[:at]), parts[at]])
        tokenizer["model"]["vocab"][merged] = number
    write_json(file, tokenizer)
    write_json(folder / "config.json", config | {"vocab_size": config["vocab_size"] + 32})
    tensors = load_file(folder / "model.safetensors")
    table = tensors[TABLE]
    tensors[TABLE] = torch.cat([table, table[:32].flip(0)])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
