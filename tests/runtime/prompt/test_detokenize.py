"""Streaming text: whole characters only, nothing lost, nothing taken back."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.prompt.tokenizer import Detokenizer, Tokenizer, byte_letters, token_bytes

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINTS = {"nano": ROOT / "artifacts" / "checkpoints" / "nano-qwen3", "qwen3": ROOT.parent / "shared" / "qwen3"}
REPLACEMENT = "\ufffd"
TEXTS = [
    "🙂🙃",
    "👩‍👩‍👧‍👦 and 🏳️‍🌈",
    "🇩🇪👍🏽☃️",
    "你好，世界。龘𠮷",
    "안녕하세요",
    "नमस्ते क्षत्रिय",
    "مرحبا بالعالم",
    "Cửa Việt Äpfel",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "<think>\n嗯🙂</think>\n\nok<|im_end|>",
    "\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
]


@pytest.fixture(scope="session", params=CHECKPOINTS)
def real(request) -> Tokenizer:
    path = CHECKPOINTS[request.param] / "tokenizer.json"
    if not path.is_file():
        pytest.skip(f"the {request.param} tokenizer is not there")
    return Tokenizer.from_file(path)


def single_bytes(tokenizer: Tokenizer, text: bytes) -> list[int]:
    """The ids of bytes taken one by one, as a model may write them."""
    ids = ids_of_bytes(tokenizer)
    return [ids[byte] for byte in text]


@cache
def ids_of_bytes(tokenizer: Tokenizer) -> dict[int, int]:
    spellings = ((token, tokenizer.token(token) or "") for token in range(max(tokenizer.added.values())))
    return {byte_letters()[spelling]: token for token, spelling in spellings if spelling in byte_letters()}


def any_ids(tokenizer: Tokenizer) -> st.SearchStrategy[list[int]]:
    """Ids of all kinds, bytes and added tokens often, some beyond the vocabulary."""
    size = max(tokenizer.added.values()) + 100
    some_bytes = st.binary(min_size=1, max_size=3).map(lambda raw: single_bytes(tokenizer, raw))
    cut = st.tuples(st.sampled_from(TEXTS), st.integers(1, 5)).map(lambda both: tokenizer.encode(both[0])[: -both[1]])
    others = st.sampled_from([*tokenizer.added.values()]) | st.integers(0, size)
    runs = st.one_of(others.map(lambda token: [token]), some_bytes, cut)
    return st.lists(runs, max_size=12).map(lambda found: [token for run in found for token in run])


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


@given(st.data())
def test_any_ids_of_a_real_tokenizer_stream_to_what_they_decode_to_at_once(real, data) -> None:
    ids = data.draw(any_ids(real))
    assert "".join(pieces(real, ids)) == real.decode(ids)


@given(st.data())
def test_a_replacement_character_comes_only_where_the_bytes_are_invalid(real, data) -> None:
    ids = data.draw(any_ids(real))
    raw = b"".join(token_bytes(real.token(token) or "") for token in ids)
    streamed = pieces(real, ids)
    assert "".join(streamed) == raw.decode(errors="replace")
    if raw == raw.decode(errors="ignore").encode():
        assert sum(piece.count(REPLACEMENT) for piece in streamed) == raw.count(REPLACEMENT.encode())
        assert streamed[-1] == ""


@given(st.data())
def test_each_piece_is_as_long_as_whole_characters_allow(real, data) -> None:
    """What was streamed so far is all of the text but a last character that isn't whole."""
    ids = real.encode(data.draw(st.lists(st.text() | st.sampled_from(TEXTS), max_size=4).map("".join)))
    detokenizer, raw, streamed = Detokenizer(real), b"", ""
    for token in ids:
        raw += token_bytes(real.token(token) or "")
        streamed += detokenizer.feed(token)
        assert streamed == raw.decode(errors="ignore")


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_many_bytes_a_character_streams_back_whole(real, text) -> None:
    for text_ids in (real.encode(text), real.encode_plain(text), single_bytes(real, text.encode())):
        streamed = pieces(real, text_ids)
        assert "".join(streamed) == text
        assert not any(REPLACEMENT in piece for piece in streamed)


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


@pytest.mark.parametrize("text", ["hi on ", "🙂👩‍👩‍👧‍👦", "a", " ", "<|im_end|>", "你好，世界。", "x1=2;\r\n\t"])
def test_a_long_text_has_no_fewer_tokens_than_are_told_before_it_is_encoded(real, text) -> None:
    long = text * (300_000 // len(text))
    count = len(real.encode(long))
    assert count * 0.9 < real.least_tokens(long, count) + 10_000
    assert real.least_tokens(long, count) <= count
    assert 1000 < real.least_tokens(long, 1000) < count
    assert real.least_tokens(long[:60_000], 0) == 0


def test_a_long_text_has_the_ids_of_its_parts(real) -> None:
    line = "Was ist das?\n你好 <think> 12"
    assert real.encode(line * 10_000) == real.encode(line) * 10_000
