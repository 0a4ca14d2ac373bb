"""The checkpoint's files that an artifact carries along, what they say of special tokens, and which tokens end a reply.

The files disagree on what ends a reply: published Base checkpoints and their fine-tunes name `<|endoftext|>` in both
configs, while the chat template ends turns with `<|im_end|>`, and a model writes what it was trained on. So each source
counts. Knows Hugging Face's file names. Must not know a graph.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.companions import COPIED
from thinkport.export.checkpoint.licence import licence_files
from thinkport.export.checkpoint.quantized import plain_config
from thinkport.export.checkpoint.small_files import read_json
from thinkport.export.errors import CheckpointError
from thinkport.runtime.artifact.manifest import Task, ThinkingIds
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer

TOKENIZER = "tokenizer.json"
CHAT_TEMPLATE = "chat_template.jinja"
# Stands in an artifact for a template that its checkpoint lacks: whatever renders it, here and elsewhere, is told why.
NO_TEMPLATE = (
    "{{ raise_exception('the checkpoint of this artifact has no chat template, so it can not chat: "
    "complete a text with it (POST /v1/completions), or export an instruction-tuned checkpoint') }}"
)
CONFIG = "config.json"
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
TURN_END = "the chat template after a turn"


def copy_tokenizer_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy what lies beside the weights; the chat template gets a file of its own, wherever it was stored.

    Of a tokenizer, the pairs of its merges are written as texts, which all readers know and read in less time.
    """
    for name in (*COPIED, *licence_files(checkpoint.folder)):
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, folder / name)
    tokenizer = folder / TOKENIZER
    if tokenizer.is_file() and (faster := with_merges_as_texts(tokenizer.read_bytes())) is not None:
        tokenizer.write_bytes(faster)
    plain = plain_config(checkpoint.config)
    if plain != read_json(checkpoint.folder / CONFIG):  # which tells of weights that aren't here, or of tied ones
        (folder / CONFIG).write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8", newline="\n")
    (folder / CHAT_TEMPLATE).write_text(_source(checkpoint), encoding="utf-8", newline="\n")


def with_merges_as_texts(tokenizer: bytes) -> bytes | None:
    """A `tokenizer.json` with each merge `["a", "b"]` as `"a b"`; None where that is no pair, or not possible.

    Qwen3's is read in 0.29 s of processor time in place of 0.36.
    """
    try:
        found = json.loads(tokenizer)
        pairs = found["model"]["merges"]
        if not pairs or not all(
            isinstance(pair, list) and len(pair) == 2 and all(map(_is_word, pair)) for pair in pairs
        ):
            return None
        found["model"]["merges"] = [" ".join(pair) for pair in pairs]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, TypeError, KeyError, RecursionError):  # the tokenizer's own reader says what is wrong with it
        return None


def _is_word(part: Any) -> bool:
    return isinstance(part, str) and " " not in part and not part.startswith("#version")  # a comment in old files


def check_ids(checkpoint: Checkpoint, vocab_size: int, thinking: tuple[str, str], stops: Mapping[str, int]) -> None:
    """Refuse, before any long work, ids of stop tokens (by their names) and of `thinking` that the model doesn't have.

    The vocabulary itself has to be the model's too. Added tokens beyond it, such as a padding token, stand in many
    fine-tunes: see `unknown_tokens`.

    Raises:
        CheckpointError: an id is beyond the model's, or the runtime can't use the tokenizer.
    """
    _check_added(checkpoint)
    ids = {"the last token": tokenizer_of(checkpoint).last_id, **stops}
    found = thinking_ids(checkpoint, thinking)
    if found is not None:
        ids |= {thinking[0]: found.start, thinking[1]: found.end}
    for name, number in ids.items():
        if number >= vocab_size:
            raise CheckpointError(
                f"{name} of {checkpoint.id} is {number} and the model has {vocab_size} ids: "
                "config.json and the tokenizer belong to different models, fetch both again"
            )


def _check_added(checkpoint: Checkpoint) -> None:
    """Refuse tokens that tokenizer_config.json alone adds: transformers takes them from there, and nobody else does."""
    decoder = (read_json(checkpoint.folder / "tokenizer_config.json") or {}).get("added_tokens_decoder")
    added = tokenizer_of(checkpoint).added
    named = {_text("added_tokens_decoder", token) for token in decoder.values()} if isinstance(decoder, dict) else set()
    if lacking := sorted(text for text in named if text and text not in added):
        raise CheckpointError(
            f"tokenizer_config.json of {checkpoint.id} adds {', '.join(lacking[:3])}, which {TOKENIZER} lacks: write "
            "both anew: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )


def unknown_tokens(checkpoint: Checkpoint, vocab_size: int) -> list[str]:
    """A sentence about added tokens that the model has no ids for; none where there are none.

    Raises:
        CheckpointError: the runtime can't use the tokenizer.
    """
    beyond = [token for token, number in tokenizer_of(checkpoint).added.items() if number >= vocab_size]
    if not beyond:
        return []
    named = ", ".join(beyond[:3]) + (f" and {len(beyond) - 3} more" if len(beyond) > 3 else "")
    return [f"the model has {vocab_size} ids and none for {named}: text that spells such a token stays text"]


def check_default(checkpoint: Checkpoint, thinking: tuple[str, str], enable_thinking: bool | None) -> None:
    """Refuse a default for thinking that the model can't follow.

    Raises:
        CheckpointError: on without thinking tokens or with a template that knows none, or off with one that opens a
            thought all the same.
    """
    start, end = thinking
    if enable_thinking and thinking_ids(checkpoint, thinking) is None:
        raise CheckpointError(f"{checkpoint.id} has no {start} and {end}, so it can't think: export without --think")
    if checkpoint.chat_template is None:
        return
    if enable_thinking and not template_of(checkpoint).knows_thoughts:
        raise CheckpointError(
            f"the chat template of {checkpoint.id} knows no thoughts, so thinking can't be on: export without --think"
        )
    if enable_thinking and _never_thinks(checkpoint, thinking):
        raise CheckpointError(
            f"the chat template of {checkpoint.id} always closes the thought, so thinking can't be on: export without "
            "--think"
        )
    if enable_thinking is False and _always_thinks(checkpoint, thinking):
        raise CheckpointError(
            f"the chat template of {checkpoint.id} always opens a thought, so thinking can't be off: "
            "export without --no-think"
        )


def thinking_modes(checkpoint: Checkpoint, thinking: tuple[str, str]) -> str:
    """Whether replies can think, in words.

    Raises:
        CheckpointError: the runtime can't use the tokenizer or the template.
    """
    if checkpoint.chat_template is None:
        return "no chat: the checkpoint has no chat template, so the artifact completes texts only"
    template = template_of(checkpoint)
    if thinking_ids(checkpoint, thinking) is None or not template.knows_thoughts:
        return "can't be on: tokenizer or chat template know no thoughts"
    if _never_thinks(checkpoint, thinking):
        return "can't be on: the chat template closes the thought and has no switch"
    if _always_thinks(checkpoint, thinking):
        return "can't be off: the chat template opens a thought and has no switch"
    return "can be on or off" if template.has_switch else "can be on or off; the chat template leaves it to the model"


def _always_thinks(checkpoint: Checkpoint, thinking: tuple[str, str]) -> bool:
    """Whether the template opens a thought though it is told not to."""
    start, end = thinking
    prompt = template_of(checkpoint).render([{"role": "user", "content": "a"}], enable_thinking=False)
    return prompt.rfind(start) > prompt.rfind(end)


def _never_thinks(checkpoint: Checkpoint, thinking: tuple[str, str]) -> bool:
    """Whether the template closes a thought though it is told to think."""
    start, end = thinking
    prompt = template_of(checkpoint).render([{"role": "user", "content": "a"}], enable_thinking=True)
    return prompt.rfind(end) > prompt.rfind(start) and not prompt.rpartition(end)[2].strip()


def tokenizer_of(checkpoint: Checkpoint) -> Tokenizer:
    """The checkpoint's tokenizer, whose added tokens are `<|im_end|>`, `<think>` and the like.

    Raises:
        CheckpointError: the runtime can't use it.
    """
    path = checkpoint.folder / TOKENIZER
    with _usable(TOKENIZER, checkpoint):
        return _read_tokenizer(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=1)
def _read_tokenizer(path: Path, changed: int) -> Tokenizer:
    """A vocabulary of 150,000 takes 0.4 s to read, and an export asks for it a dozen times."""
    del changed  # a part of the key: a file that has changed is read again
    return Tokenizer.from_file(path)


def template_of(checkpoint: Checkpoint) -> ChatTemplate:
    """The checkpoint's chat template, or `NO_TEMPLATE`.

    Raises:
        CheckpointError: the runtime can't use it.
    """
    with _usable("chat template", checkpoint):
        return ChatTemplate(_source(checkpoint), special_tokens(checkpoint))


def _source(checkpoint: Checkpoint) -> str:
    return NO_TEMPLATE if checkpoint.chat_template is None else checkpoint.chat_template


def thinking_ids(checkpoint: Checkpoint, tokens: tuple[str, str]) -> ThinkingIds | None:
    """Ids of the tokens that open and close a thought; None where the tokenizer lacks one."""
    ids = tokenizer_of(checkpoint).added
    start, end = tokens
    return ThinkingIds(start=ids[start], end=ids[end]) if start in ids and end in ids else None


def special_tokens(checkpoint: Checkpoint) -> dict[str, str]:
    """The texts of bos, eos, pad and unk tokens, as a chat template may ask for them; absent ones are left out.

    Raises:
        CheckpointError: one is neither a text nor an object with one.
    """
    config = read_json(checkpoint.folder / "tokenizer_config.json") or {}
    texts = {key: _text(key, config.get(key)) for key in _SPECIAL}
    return {key: text for key, text in texts.items() if text is not None}


def id_of(name: str, checkpoint: Checkpoint) -> int | None:
    """An id such as `pad_token_id` from generation_config, else config."""
    for source in (checkpoint.generation_config or {}, checkpoint.config):
        if isinstance(source.get(name), int):
            return int(source[name])
    return None


@contextmanager
def _usable(what: str, checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except ArtifactError as error:  # which speaks of an artifact, where there is none yet
        reason = error.__cause__ or error
        raise CheckpointError(
            f"the {what} of {checkpoint.id} can't be used ({reason}): fetch it again, or export another checkpoint"
        ) from error


def _text(key: str, token: Any) -> str | None:
    text = token.get("content") if isinstance(token, Mapping) else token
    if token is None or isinstance(text, str):
        return text
    raise CheckpointError(f"tokenizer_config.json: {key} is {token!r}; expected a text: correct it, or remove it")


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
    template, tokenizer = template_of(checkpoint), tokenizer_of(checkpoint)
    named: dict[int, list[str]] = {}
    configs = {"generation_config.json": checkpoint.generation_config or {}, "config.json": checkpoint.config}
    for source, config in configs.items():
        for number in dict.fromkeys(_eos_ids(checkpoint, config.get("eos_token_id"))):
            named.setdefault(number, []).append(source)
    eos = tokenizer.added.get(special_tokens(checkpoint).get("eos_token", ""))
    turn_end = tokenizer.leading(template.after_reply)
    for source, found in (("tokenizer_config.json", eos), (TURN_END, turn_end)):
        if found is not None:
            named.setdefault(found, []).append(source)
    if not named and checkpoint.task is not Task.EMBEDDING:  # which writes no reply
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
