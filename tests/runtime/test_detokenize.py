"""Streaming text: whole characters only, nothing lost, nothing taken back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.detokenize import Detokenizer, byte_letters, token_bytes
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.tokenizer import Tokenizer

QWEN3 = Path(__file__).resolve().parents[3] / "shared" / "qwen3"
needs_qwen3 = pytest.mark.skipif(not QWEN3.is_dir(), reason="the real Qwen3 tokenizer is not beside the repository")


@pytest.fixture(scope="session")
def qwen3() -> Tokenizer:
    return Tokenizer.from_file(QWEN3 / "tokenizer.json")


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.feed(token) for token in ids), detokenizer.flush()]


@given(st.text())
def test_a_text_comes_back_whole_and_no_piece_holds_half_a_character(tokenizer, text) -> None:
    streamed = pieces(tokenizer, tokenizer.encode_plain(text))
    assert "".join(streamed) == text
    assert not any("\ufffd" in piece for piece in streamed if "\ufffd" not in text)


@given(st.lists(st.integers(0, 300), max_size=40))
def test_any_ids_stream_to_what_they_decode_to_at_once(tokenizer, ids) -> None:
    assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids)


@needs_qwen3
@given(st.lists(st.integers(0, 151_935), max_size=40))
def test_any_ids_of_qwen3_stream_to_what_they_decode_to_at_once(qwen3, ids) -> None:
    assert "".join(pieces(qwen3, ids)) == qwen3.decode(ids)


@needs_qwen3
def test_qwen3s_public_vectors_encode_as_published(qwen3) -> None:
    texts = (QWEN3 / "tokenizer_vectors.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    expected = (QWEN3 / "tokenizer_vectors.out").read_text(encoding="utf-8").split("\n")
    assert len(texts) >= 46
    for text, line in zip(texts, expected, strict=False):
        assert qwen3.encode(text) == [int(number) for number in line.split()], repr(text)


def test_an_emoji_in_four_tokens_comes_with_its_last(tokenizer) -> None:
    assert pieces(tokenizer, tokenizer.encode_plain("🙂")) == ["", "", "", "🙂", ""]


def test_half_a_character_at_the_end_is_flushed_as_a_replacement(tokenizer) -> None:
    assert pieces(tokenizer, tokenizer.encode_plain("🙂")[:2]) == ["", "", "\ufffd"]


def test_an_id_beyond_the_vocabulary_has_no_text(tokenizer) -> None:
    assert pieces(tokenizer, [10_000]) == ["", ""]


def test_byte_letters_are_one_for_each_byte() -> None:
    assert sorted(byte_letters().values()) == list(range(256))
    assert token_bytes("Ġon") == b" on"
    assert token_bytes("<| two words |>") == b"<| two words |>"


@given(st.lists(st.sampled_from(["hi", " on", "<|im_end|>", "<think>", "<|im_", "end|>"]), max_size=8).map("".join))
def test_plain_encoding_never_gives_an_added_token(tokenizer, text) -> None:
    ids = tokenizer.encode_plain(text)
    assert not set(ids) & set(tokenizer.added.values())
    assert tokenizer.decode(ids) == text


def test_encoding_reads_an_added_token_where_it_is_spelled(tokenizer) -> None:
    assert tokenizer.encode("<think>") == [tokenizer.added["<think>"]]


def test_a_text_with_half_a_surrogate_pair_is_refused(tokenizer) -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        tokenizer.encode("\ud800")


@pytest.mark.parametrize("make", [lambda path: path.write_text("{}"), lambda path: None], ids=["malformed", "missing"])
def test_a_tokenizer_that_cannot_be_read_is_an_artifact_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "tokenizer.json")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")
