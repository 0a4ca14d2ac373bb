"""A model whose logits are written down: what it says is a script, and the tokenizer, template and markers are nano's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thinkport.runtime.artifact.manifest import Manifest, ThinkingIds
from thinkport.runtime.engine.kv_cache import KvSize, KvSnapshot, layout_of
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer

ROOT = Path(__file__).parents[2]
NANO = ROOT / "artifacts" / "checkpoints" / "nano-qwen3"
BEST = 9.0  # the logit of a script's id; all others are 0

Row = int | Mapping[int, float]
"""An id that is the likeliest, or some ids' logits."""


class ScriptedLane:
    """Gives the script's rows in turn, one for each call that ends in a draw."""

    batch = 1

    def __init__(self, session: "ScriptedSession"):
        self._session, self._ids = session, 0

    @property
    def length(self) -> int:
        return self._ids

    def step(self, ids: Any, lengths: Any = None, keep: int = 1) -> Any:
        self._ids += ids.shape[1]
        logits = np.zeros((1, keep, self._session.vocab_size), np.float32)
        row = self._session.take()
        for token, logit in (row if isinstance(row, Mapping) else {row: BEST}).items():
            logits[0, -1, int(token)] = logit
        return logits

    def expect(self, tokens: int) -> None:
        pass

    def trim(self, length: int) -> None:
        self._ids = min(self._ids, length)

    def read(self, length: int) -> KvSnapshot:
        raise AssertionError("no snapshot is taken of a script")

    def write(self, snapshot: KvSnapshot) -> None:
        raise AssertionError("no snapshot is given to a script")


class ScriptedSession:
    """Lanes over one script, which ends with `stop` again and again."""

    several_tokens_over_past = ragged_batches = True
    vocab_size, prefill_chunk = 512, 4096
    lost: str | None = None

    def __init__(self, script: Sequence[Row], stop: int, context_length: int):
        self._rows, self._stop = list(script), stop
        self.context_length = context_length
        self.kv_layout = layout_of(np.float32, 1, 1, 1)
        self.kv_size = KvSize(token=8, in_place=True, context=context_length)

    def open_lane(self, batch: int = 1) -> ScriptedLane:
        return ScriptedLane(self)

    def take(self) -> Row:
        return self._rows.pop(0) if self._rows else self._stop


def nano_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(NANO / "tokenizer.json")


def nano_template() -> ChatTemplate:
    settings = json.loads((NANO / "tokenizer_config.json").read_text(encoding="utf-8"))
    return ChatTemplate(settings["chat_template"], {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})


def nano_manifest() -> Manifest:
    """The sample manifest with nano's ids."""
    sample = ROOT / "tests" / "contract" / "manifest.json"
    manifest = Manifest.model_validate_json(sample.read_text(encoding="utf-8"))
    added = nano_tokenizer().added
    thinking = ThinkingIds(start=added["<think>"], end=added["</think>"])
    stop_ids = [added["<|im_end|>"], added["<|endoftext|>"]]
    return manifest.model_copy(update={"thinking": thinking, "stop_ids": stop_ids})


def scripted_model(script: Sequence[Row], *, context_length: int = 4096, enable_thinking: bool | None = None) -> Model:
    manifest = nano_manifest().model_copy(update={"enable_thinking": enable_thinking})
    session = ScriptedSession(script, manifest.stop_ids[0], context_length)
    return Model(manifest, nano_tokenizer(), nano_template(), session, drafts=False, prefix_cache_bytes=0)
