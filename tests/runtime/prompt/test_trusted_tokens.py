"""Words that a fine-tune added are tokens in messages too; what controls a conversation is not."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.control_tokens import control_tokens
from thinkport.runtime.prompt.filled import filled
from thinkport.runtime.prompt.prompt import PromptEncoder
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer

SAMPLE = Path(__file__).parents[2] / "contract" / "manifest.json"
TAGS = "{% for m in messages %}{{ '<|' ~ m.role ~ '|>' }}{{ m.content }}{% endfor %}"
WORDS = ("<doc>", "</doc>", "<|gene|>", "μTAS")


@pytest.fixture(scope="module")
def manifest(tokenizer: Tokenizer) -> Manifest:
    found = Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8"))
    ends = [tokenizer.added["<|im_end|>"], tokenizer.added["<|endoftext|>"]]
    return found.model_copy(update={"stop_ids": ends, "thinking": None, "special_tokens": {}})


@pytest.fixture(scope="module")
def tuned(tokenizer: Tokenizer) -> Tokenizer:
    """With words of a field, half of them special, and with tokens for roles."""
    backend = Backend.from_str(tokenizer._backend.to_str())
    backend.add_tokens([AddedToken(word, normalized=False) for word in WORDS[:2]])
    backend.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in WORDS[2:]])
    backend.add_tokens([AddedToken(f"<|{role}|>", normalized=False) for role in ("user", "assistant", "system")])
    return Tokenizer(backend)


def test_words_of_a_field_are_tokens_and_markers_are_text(tuned, template, manifest) -> None:
    guarded = tuned.guarding(control_tokens(tuned, template, manifest))
    text = "a <doc>b</doc> <|gene|>μTAS <|im_end|><think></think><tool_call>"
    ids = PromptEncoder(guarded, template).encode([{"role": "user", "content": text}]).ids
    for word in WORDS:
        assert ids.count(tuned.added[word]) == 1, word
    assert ids.count(tuned.added["<|im_end|>"]) == 1
    assert tuned.added["<tool_call>"] not in ids
    assert text in tuned.decode(ids)


def test_a_word_that_the_model_has_no_id_for_is_text(tuned, template, manifest) -> None:
    known = tuned.within(tuned.added["</doc>"])
    guarded = known.guarding(control_tokens(known, template, manifest))
    text = "a <doc>b</doc>c"
    ids = PromptEncoder(guarded, template).encode([{"role": "user", "content": text}]).ids
    assert tuned.added["<doc>"] in ids
    assert max(ids) < tuned.added["</doc>"]
    assert text in tuned.decode(ids)
    plain = known.encode_plain("</doc>")
    assert known.encode(text) == [*tuned.encode("a <doc>b"), *plain, *tuned.encode("c")]
    assert known.encode("</doc>") == known.encode_content("</doc>") == plain
    assert known.leading("</doc>") is None


def test_a_word_that_spells_another_one_which_the_model_has_no_id_for_stays_a_token(tokenizer) -> None:
    backend = Backend.from_str(tokenizer._backend.to_str())
    backend.add_tokens([AddedToken(word, normalized=False) for word in ("<doc>s", "x<doc", "<doc>")])
    every = Tokenizer(backend)
    known = every.within(every.added["<doc>"])
    for text in ("<doc>s", "a<doc>s b", "x<doc>"):
        assert known.encode(text) == every.encode(text), text
    assert known.encode("a<doc>b") == [*every.encode("a"), *every.encode_plain("<doc>"), *every.encode("b")]


def test_without_trust_all_are_text(tuned, template) -> None:
    ids = PromptEncoder(tuned, template).encode([{"role": "user", "content": "<doc>b</doc><|gene|>"}]).ids
    assert not {tuned.added[word] for word in WORDS} & set(ids)


def test_markers_that_a_template_puts_together_are_control_tokens(tuned, manifest) -> None:
    found = control_tokens(tuned, ChatTemplate(TAGS, {}), manifest)
    assert {"<|user|>", "<|assistant|>", "<|system|>", "<|im_end|>", "<|endoftext|>"} <= found
    assert not found & set(WORDS)


def test_a_word_around_a_marker_does_not_bring_it_in(tokenizer, template, manifest) -> None:
    backend = Backend.from_str(tokenizer._backend.to_str())
    backend.add_tokens([AddedToken("x<|im_end|>", normalized=False), AddedToken("<|im_end|>y", normalized=False)])
    both = Tokenizer(backend)
    guarded = both.guarding(control_tokens(both, template, manifest))
    for text in ("x<|im_end|>", "<|im_end|>y", "x<|im_end|>y", "<doc<|im_end|>"):
        ids = PromptEncoder(guarded, template).encode([{"role": "user", "content": text}]).ids
        assert ids.count(both.added["<|im_end|>"]) == 1, text


def test_content_between_two_markers_is_split_once(tuned) -> None:
    guarded = tuned.guarding(["<|im_end|>"])
    ids = guarded.encode_content("<doc><|im_end|></doc>")
    assert ids == [tuned.added["<doc>"], *tuned.encode_plain("<|im_end|>"), tuned.added["</doc>"]]
    assert guarded.encode_content("") == []


def test_a_loaded_model_trusts_words_unless_told_otherwise(nano_artifact: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(nano_artifact, tmp_path / "artifact")
    words = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {one["content"]: one["id"] for one in words["added_tokens"]}
    spare = next(name for name in ids if name not in (folder / "chat_template.jinja").read_text(encoding="utf-8"))
    messages = [{"role": "user", "content": f"a{spare}b"}]
    with Model.load(nano_artifact) as model, Model.load(nano_artifact, trust_added_tokens=False) as careful:
        assert careful.encode(messages).count(ids[spare]) == 0
        control = control_tokens(model.tokenizer, model.template, model.manifest)
        assert (model.encode(messages).count(ids[spare]) == 1) == (spare not in control)


def test_places_are_filled_and_nothing_else_in_braces() -> None:
    text = "{query}: {document} {query.__class__} {document:>10000000000} {{x}}"
    made = filled(text, query="{document}", document="d")
    assert made == "{document}: d {query.__class__} {document:>10000000000} {{x}}"
