"""Ids to text while they come: never half a UTF-8 character, never anything taken back.

Knows byte-level BPE's letters for bytes. Must not know which ids are markers or where a thought ends.
"""

import codecs
from functools import cache

from thinkport.runtime.prompt.tokenizer import Tokenizer


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
