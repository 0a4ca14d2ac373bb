"""Text to ids through the artifact's `tokenizer.json`, and ids to text: at once, or while they come.

Knows byte-level BPE, its letters for bytes, and added tokens such as `<|im_end|>`. Must not know messages, or which ids
are markers.
"""

import codecs
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from functools import cache, partial
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import decoders

from thinkport.runtime.artifact.strangers_file import read_strangers
from thinkport.runtime.errors import ArtifactError, InputError

_LONG = 1 << 16  # characters: encoding so many takes some 40 ms
_LARGEST = 256 << 20  # bytes of a tokenizer.json; the largest published ones have 35 MB
_TRIAL = "A trial: 1 + 2, \u00e9.\n"
_CUT = 64  # tokens that a cut through a text may add, and many more than it does


class Spellings:
    """The spellings of a tokenizer's added tokens."""

    def __init__(self, spellings: Iterable[str]):
        longest_first = sorted(filter(None, spellings), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"\A(?!)")
        self.openings = frozenset(spelling[0] for spelling in longest_first)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each spelling in `text`, found as a tokenizer does: leftmost, then longest."""
        return (match.span() for match in self._pattern.finditer(text))

    def begins(self, text: str, at: int) -> bool:
        """Whether a spelling stands in `text` at this place."""
        return self._pattern.match(text, at) is not None


class Tokenizer:
    """A byte-level BPE tokenizer with added tokens.

    Content may spell those of `guarded` as mere text only; others, the words of a field that a fine-tune added, are
    tokens in content too. All are guarded unless `guarding` says otherwise. What spells a token that `within` left out
    is mere text everywhere.
    """

    def __init__(self, backend: Backend):
        """Wrap a tokenizer of the `tokenizers` library.

        Raises:
            ArtifactError: it is not byte-level, so its pieces could not be streamed.
        """
        if not isinstance(backend.decoder, decoders.ByteLevel):
            raise ArtifactError("the tokenizer is not byte-level BPE, the only kind this runtime streams")
        self._backend = backend
        self._plain = _without_added_tokens(backend)
        self.added = {token.content: number for number, token in backend.get_added_tokens_decoder().items()}
        self.added_pattern = self.guarded = Spellings(self.added)
        self._before = Spellings(())  # of all added tokens, those that `within` left out too; none where it left none

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        """Read a `tokenizer.json`.

        Raises:
            ArtifactError: it is missing or malformed.
        """
        try:
            return cls(_tried(read_strangers(path, _LARGEST).decode("utf-8")))
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error}") from None
        except BaseException as error:  # tokenizers raises bare Exceptions, and where its own code fails not even those
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise ArtifactError(f"{path} can't be read as a tokenizer ({error}): export the artifact again") from error

    def within(self, size: int) -> "Tokenizer":
        """The same tokenizer for a model of `size` ids: without the added tokens that the model has none for."""
        other = copy(self)
        other.added = {token: number for token, number in self.added.items() if number < size}
        other.added_pattern = other.guarded = Spellings(other.added)
        other._before = Spellings(self.added if len(other.added) < len(self.added) else ())
        return other

    def guarding(self, tokens: Collection[str]) -> "Tokenizer":
        """The same tokenizer with these added tokens guarded, and no others."""
        other = copy(self)
        other.guarded = Spellings(token for token in tokens if token in self.added)
        return other

    def encode_content(self, text: str) -> list[int]:
        """Ids of what somebody wrote, where the spelling of a guarded token is mere text."""
        return self._encode_but(self.guarded.spans(text), text, self.encode)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, where the spelling of an added token is that token."""
        left_out = ((start, end) for start, end in self._before.spans(text) if text[start:end] not in self.added)
        return self._encode_but(left_out, text, partial(_encode, self._backend))

    def encode_plain(self, text: str) -> list[int]:
        """Ids of `text` as mere text: no added token is ever among them."""
        return _encode(self._plain, text)

    def _encode_but(self, plain: Iterable[tuple[int, int]], text: str, encode: Callable[[str], list[int]]) -> list[int]:
        """Ids as `encode` gives them, but for the spans of `plain`, which are mere text."""
        ids, at = list[int](), 0
        for start, end in plain:
            ids += encode(text[at:start]) + self.encode_plain(text[start:end])
            at = end
        return ids + encode(text[at:])

    def least_tokens(self, text: str, most: int) -> int:
        """A number of tokens that `text` has at least; once it is above `most`, no more of the text is looked at.

        It is 0 for texts that are encoded in no time: it is for refusing others before they are.
        """
        least, starts = 0, range(0, len(text), _LONG) if len(text) > _LONG else ()
        for start in starts:
            least += max(0, len(self.encode(text[start : start + _LONG])) - _CUT)
            if least > most:
                break
        return least

    @property
    def surroundings(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer's own post-processing puts before and behind a text; often none."""
        plain, whole = (self._backend.encode("a", add_special_tokens=special).ids for special in (False, True))
        at = next(at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
        return whole[:at], whole[at + len(plain) :]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, added tokens spelled out."""
        return str(self._backend.decode(list(ids), skip_special_tokens=False))

    def leading(self, text: str) -> int | None:
        """The added token that `text` begins with; None where it begins with another text."""
        start, end = next(self.added_pattern.spans(text), (-1, 0))
        return self.added[text[:end]] if start == 0 else None

    @property
    def last_id(self) -> int:
        """The largest id of the vocabulary without added tokens; -1 where that has none."""
        ids: dict[str, int] = self._backend.get_vocab(with_added_tokens=False)
        return max(ids.values(), default=-1)

    def token(self, id: int) -> str | None:  # noqa: A002 - the domain's word
        """The vocabulary's spelling of an id, in byte-level letters; None beyond the vocabulary."""
        spelling: str | None = self._backend.id_to_token(id)
        return spelling


def _tried(text: str) -> Backend:
    """The tokenizer of a `tokenizer.json`, which has encoded a text.

    Its own limits are switched off, as transformers does: they cut prompts in silence, or fill them up.
    """
    backend = Backend.from_str(text)
    backend.no_truncation()
    backend.no_padding()
    for special in (False, True):
        backend.encode(_TRIAL, add_special_tokens=special)
    return backend


def _encode(backend: Backend, text: str) -> list[int]:
    try:
        if len(text) < _LONG:
            ids: list[int] = backend.encode(text, add_special_tokens=False).ids
        else:  # other threads run meanwhile, and no offsets are kept: 4 MB take 2.4 s of a core and not 4.1 (measured)
            ids = backend.encode_batch_fast([text], add_special_tokens=False)[0].ids
    except (UnicodeEncodeError, TypeError) as error:  # what tokenizers raises depends on its version
        raise InputError("the text is not valid Unicode: read it with its real encoding") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise InputError(
            f"the artifact's tokenizer fails over this text ({error}): export the artifact again, from another copy of "
            "the checkpoint"
        ) from error
    return ids


def _without_added_tokens(backend: Backend) -> Backend:
    plain = Backend(backend.model)  # shares the vocabulary
    if backend.normalizer is not None:
        plain.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        plain.pre_tokenizer = backend.pre_tokenizer
    return plain


class Detokenizer:
    """Turns a stream of ids into pieces of text whose sum is the text of all of them. Constant time a token."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, id: int) -> str:  # noqa: A002 - the domain's word
        """The characters that are whole with this id; possibly none."""
        return self._decoder.decode(token_bytes(self._tokenizer.token(id) or ""))

    def flush(self) -> str:
        """What is still held: a replacement character if the last character never became whole."""
        return self._decoder.decode(b"", final=True)


def token_bytes(spelling: str) -> bytes:
    """The bytes that a vocabulary entry stands for; an added token outside the letters stands for its own UTF-8."""
    letters = byte_letters()
    try:
        return bytes([letters[letter] for letter in spelling])
    except KeyError:
        return spelling.encode()


@cache
def byte_letters() -> dict[str, int]:
    """GPT-2's letters: printable Latin-1 bytes are themselves, the others take code points from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
