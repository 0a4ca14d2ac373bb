"""A reply ends at what any of a checkpoint's files names, and at what its chat template writes after a turn."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.export.trace.checkpoints import narrow_checkpoint

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.checkpoint.tokenizer_files import TURN_END, stop_tokens
from thinkport.export.errors import CheckpointError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime import Model

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
)
NO_TOKEN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
PLAIN_END = "{% for m in messages %}<|im_start|>{{ m.content }}\n### End of turn\n{% endfor %}"
NEXT_HEADER = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}\n{% endfor %}"
USERS_ONLY = "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no') }}{% endif %}{% endfor %}"
CHANGES = "{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}"
BASE = "<|endoftext|>"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A checkpoint whose configs name `<|endoftext|>` alone, with a template and what else the tokenizer has."""

    def checkpoint(template: str, *, added: tuple[str, ...] = (), eos: int | None = 503, **tokens: Any) -> Path:
        folder = narrow_checkpoint(tmp_path / "checkpoint", eos_token_id=eos, vocab_size=528)
        (folder / "generation_config.json").write_text(json.dumps({} if eos is None else {"eos_token_id": eos}))
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        like = next(token for token in tokenizer["added_tokens"] if token["content"] == BASE)
        tokenizer["added_tokens"] += [{**like, "id": 512 + at, "content": text} for at, text in enumerate(added)]
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        config |= {"chat_template": template, "eos_token": BASE, **tokens}
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    return checkpoint


def found(folder: Path) -> dict[str | None, tuple[str, ...]]:
    return {stop.token: stop.named_by for stop in stop_tokens(open_checkpoint(str(folder)))}


CONFIGS = ("generation_config.json", "config.json")
ALL = (*CONFIGS, "tokenizer_config.json")


def test_the_reference_checkpoint_stops_as_its_files_say(nano_checkpoint: Path) -> None:
    assert found(nano_checkpoint) == {"<|im_end|>": (*ALL, TURN_END), BASE: ("generation_config.json",)}


@pytest.mark.parametrize(
    ("template", "added", "tokens", "end"),
    [
        (CHATML, (), {}, "<|im_end|>"),
        (LLAMA3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), {"bos_token": BASE}, "<|eot_id|>"),
        (NEXT_HEADER, ("<|user|>", "<|assistant|>"), {}, "<|user|>"),
    ],
    ids=["ChatML", "Llama 3", "the next turn's header"],
)
def test_what_the_template_writes_after_a_turn_ends_a_reply(write: Write, template, added, tokens, end) -> None:
    assert found(write(template, added=added, **tokens)) == {BASE: ALL, end: (TURN_END,)}


def test_an_end_of_text_that_the_tokenizer_and_the_template_share_is_one_token(write: Write) -> None:
    folder = write(LLAMA2, added=("<s>", "</s>"), bos_token="<s>", eos_token="</s>")
    assert found(folder) == {BASE: CONFIGS, "</s>": ("tokenizer_config.json", TURN_END)}


@pytest.mark.parametrize(
    "template",
    [NO_TOKEN, PLAIN_END, USERS_ONLY, CHANGES],
    ids=["no end", "an end in plain text", "no assistant's turn", "other words than the reply's"],
)
def test_a_template_that_writes_no_token_after_a_turn_adds_none(write: Write, template: str) -> None:
    assert found(write(template)) == {BASE: ALL}


def test_the_tokenizers_eos_alone_is_enough_and_a_text_that_is_no_token_is_not(write: Write) -> None:
    assert found(write(NO_TOKEN, eos=None)) == {BASE: ("tokenizer_config.json",)}


def test_a_checkpoint_that_names_nothing_says_where_it_was_looked_for(write: Write) -> None:
    with pytest.raises(
        CheckpointError, match=r"names a token that ends a reply: neither eos_token_id in gener.*: add eos"
    ):
        found(write(NO_TOKEN, eos=None, eos_token="</nothing>"))


def test_an_export_says_what_it_found_and_every_reader_of_the_artifact_stops_there(
    write: Write, tmp_path: Path
) -> None:
    settings = ExportSettings(checkpoint=str(write(CHATML)), output=tmp_path / "artifact", certificate=False)
    report = export(settings)
    assert [(stop.token, stop.named_by) for stop in report.stops] == [(BASE, ALL), ("<|im_end|>", (TURN_END,))]
    assert report.manifest.stop_ids == [503, 505]
    genai = json.loads((report.folder / "genai_config.json").read_text(encoding="utf-8"))
    assert genai["model"]["eos_token_id"] == [503, 505]
    card = (report.folder / "README.md").read_text(encoding="utf-8")
    assert f"`<|im_end|>` (named by {TURN_END})." in card
    with Model.load(report.folder) as model:
        assert model.manifest.stop_ids == [503, 505]
