"""Which tokens end a reply, and which of a checkpoint's files say so.

The files disagree: published Base checkpoints and their fine-tunes name `<|endoftext|>` in both configs, while the chat
template ends turns with `<|im_end|>`, and a model writes what it was trained on. So each source counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint import tokenizer_files as files
from thinkport.export.errors import CheckpointError

TURN_END = "the chat template after a turn"


@dataclass(frozen=True, kw_only=True)
class StopToken:
    """A token that ends a reply; `token` is its text, None where the tokenizer has none for the id."""

    id: int
    token: str | None
    named_by: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.token or self.id} ({', '.join(self.named_by)})"


def stop_tokens(checkpoint: Checkpoint) -> list[StopToken]:
    """The tokens that three configs name as eos, and what the chat template writes after a turn.

    Raises:
        CheckpointError: nothing names one, so that a reply would never end, or what a config names isn't an id.
    """
    template, tokenizer = files.template_of(checkpoint), files.tokenizer_of(checkpoint)
    named: dict[int, list[str]] = {}
    configs = {"generation_config.json": checkpoint.generation_config or {}, "config.json": checkpoint.config}
    for source, config in configs.items():
        for number in _eos_ids(checkpoint, config.get("eos_token_id")):
            named.setdefault(number, []).append(source)
    eos = tokenizer.added.get(files.special_tokens(checkpoint).get("eos_token", ""))
    turn_end = tokenizer.leading(template.after_reply)
    for source, found in (("tokenizer_config.json", eos), (TURN_END, turn_end)):
        if found is not None:
            named.setdefault(found, []).append(source)
    if not named:
        raise CheckpointError(
            f"nothing in {checkpoint.id} names a token that ends a reply: neither eos_token_id in "
            "generation_config.json or config.json, nor eos_token in tokenizer_config.json, and the chat template "
            "writes none after a turn: add eos_token_id to generation_config.json"
        )
    texts = {number: text for text, number in tokenizer.added.items()}
    return [StopToken(id=number, token=texts.get(number), named_by=tuple(by)) for number, by in named.items()]


def _eos_ids(checkpoint: Checkpoint, found: Any) -> Iterator[int]:
    if found is None:
        return
    ids = found if isinstance(found, list) else [found]
    if not ids or not all(type(number) is int and number >= 0 for number in ids):
        raise CheckpointError(
            f"eos_token_id of {checkpoint.id} is {found!r}; expected an id or a list of them: "
            "correct generation_config.json or config.json"
        )
    yield from ids
