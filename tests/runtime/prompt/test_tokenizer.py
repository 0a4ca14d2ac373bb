"""Text to ids and back: Qwen3's published vectors, and files that are no tokenizer of ours."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models

from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.prompt.tokenizer import Detokenizer, Tokenizer

QWEN3 = Path(__file__).resolve().parents[4] / "shared" / "qwen3"
NANO_TOKENIZER = Path(__file__).resolve().parents[3] / "artifacts" / "checkpoints" / "nano-qwen3" / "tokenizer.json"
SEPARATOR = "\n__ggml_vocab_test__\n"


@pytest.fixture(scope="session")
def qwen3() -> Tokenizer:
    if not QWEN3.is_dir():
        pytest.skip("the real Qwen3 tokenizer is not beside the repository (../shared/qwen3)")
    return Tokenizer.from_file(QWEN3 / "tokenizer.json")


@pytest.fixture(scope="session")
def vectors(qwen3) -> list[tuple[str, list[int]]]:
    """Published texts and their ids; the last text is the empty one after the last separator."""
    texts = (QWEN3 / "tokenizer_vectors.inp").read_bytes().decode().split(SEPARATOR)
    lines = (QWEN3 / "tokenizer_vectors.out").read_bytes().decode().split("\n")
    assert len(texts) == len(lines) == 47
    return [(text, [int(number) for number in line.split()]) for text, line in zip(texts, lines, strict=True)]


def test_qwen3s_47_public_vectors_encode_as_published(qwen3, vectors) -> None:
    for text, ids in vectors:
        assert qwen3.encode(text) == ids, repr(text)
        assert qwen3.encode_plain(text) == ids, repr(text)


def test_qwen3s_public_vectors_decode_and_stream_back_to_their_text(qwen3, vectors) -> None:
    for text, ids in vectors:
        detokenizer = Detokenizer(qwen3)
        pieces = [detokenizer.feed(token) for token in ids]
        assert qwen3.decode(ids) == "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces), repr(text)
        assert detokenizer.flush() == ""


def test_the_added_token_that_a_text_begins_with_is_told(tokenizer) -> None:
    assert tokenizer.leading("<|im_end|>\n") == tokenizer.added["<|im_end|>"]
    assert [tokenizer.leading(text) for text in ("", "hi", "hi<|im_end|>", "<|im_end")] == [None] * 4


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},  # panics where it is read
        {"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "x"}},  # and over its first text
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "X", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {},
            }
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_tokenizer_over_which_its_library_panics_is_refused_where_it_is_read(tmp_path, change) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(json.loads(NANO_TOKENIZER.read_bytes()) | change), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"can't be read as a tokenizer \(.+\): export the artifact again"):
        Tokenizer.from_file(file)


@pytest.mark.parametrize(
    "change",
    [
        {"truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}},
        {
            "padding": {
                "strategy": {"Fixed": 1000},
                "direction": "Left",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "x",
            }
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_tokenizers_own_limits_change_no_prompt(tmp_path, change) -> None:
    file, text = tmp_path / "tokenizer.json", "one two three"
    file.write_text(json.dumps(json.loads(NANO_TOKENIZER.read_bytes()) | change), encoding="utf-8")
    limited = Tokenizer.from_file(file)
    assert limited.encode(text) == limited.encode_plain(text) == Tokenizer.from_file(NANO_TOKENIZER).encode(text)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "can't be read as a tokenizer"),
        ("{}", "can't be read as a tokenizer"),
        (Backend(models.BPE()).to_str(), "is not byte-level BPE"),
    ],
    ids=["empty", "no model", "not byte-level"],
)
def test_a_tokenizer_that_cannot_be_streamed_is_an_artifact_error(tmp_path, content, says) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match=rf"^.*tokenizer\.json.* {says}.*$"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
