"""Texts to vectors: prompts, token ids, the hidden state behind the last of them, and its first dimensions.

Knows the manifest's words about embedding, a tokenizer and engines. Must not know files or a server.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import Embedding
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.engine.session import Logits
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError, UnavailableError
from thinkport.runtime.prompt.prompt import Prompt
from thinkport.runtime.prompt.tokenizer import Tokenizer

EmbeddedText = str | Sequence[int]
_STOPPED = "stopped before all texts were read: begin again without cancelling"


def embedding_prompts(
    tokenizer: Tokenizer,
    embedding: Embedding,
    texts: Sequence[EmbeddedText],
    instruction: str | None,
    *,
    context: int,
    truncate: bool,
) -> list[Prompt]:
    """Each text with what stands around it; ids that are given get no prompt and the same tokens around.

    `context` is the most tokens of one, of which `truncate` leaves out the last that don't fit.

    Raises:
        InputError: one text in place of a list, no text, an empty one, or one that is too long.
    """
    if isinstance(texts, str):
        raise InputError("texts is one text, expected a list of them: put it into brackets")
    given: object = texts  # a caller without a type checker may give anything
    if isinstance(given, bytes) or not isinstance(given, Sequence):
        raise InputError(f"texts is {type(given).__name__}, expected a list of texts")
    for number, text in enumerate(texts, 1):
        if isinstance(text, bytes) or not isinstance(text, Sequence | np.ndarray):
            raise InputError(f"text {number} is {type(text).__name__}, expected a text or a list of ids")
    if len(texts) == 0:
        raise InputError("there is no text to embed, expected at least one")
    lead = embedding.document_prompt
    if instruction is not None:
        lead = embedding.prompt.replace("{instruction}", instruction)
    room = context - len(embedding.start_ids) - len(embedding.end_ids)
    start = (embedding.start_ids + tokenizer.encode(lead))[:-1]  # a text may change the last token of what leads it
    found = []
    for number, text in enumerate(texts, 1):
        if not (text.strip() if isinstance(text, str) else len(text)):
            raise InputError(f"text {number} of {len(texts)} is empty: leave it out, nothing says what it means")
        ids = tokenizer.encode(lead + text) if isinstance(text, str) else list(text)
        kept = fitting(ids, room, f"text {number}", truncate=truncate, least=len(start) if isinstance(text, str) else 0)
        whole = [*embedding.start_ids, *kept, *embedding.end_ids]
        found.append(Prompt(ids=whole, shareable=common_prefix(whole, start) if lead else 0))
    return found


def fitting(ids: list[int], room: int, what: str, *, truncate: bool, least: int) -> list[int]:
    """The ids, or with `truncate` as many as there is room for, which has to be more than `least`.

    Raises:
        InputError: there are more.
    """
    if len(ids) <= room:
        return ids
    if truncate and room > least:
        return ids[:room]
    cure = "shorten it, split it, or ask for it to be truncated"
    if truncate:
        cure = f"{least} of them stand in front of the text: shorten the instruction or the query"
    raise InputError(f"{what} has {len(ids)} tokens, and there is room for {max(room, 0)}: {cure}")


def checked_dimensions(dimensions: int | None, embedding: Embedding) -> int:
    """How many dimensions vectors get: the full width if nothing is asked for.

    Raises:
        InputError: none, or more than there are.
    """
    if dimensions is None:
        return embedding.dimensions
    if type(dimensions) is not int or not 1 <= dimensions <= embedding.dimensions:
        raise InputError(f"dimensions is {dimensions!r}, expected 1 to {embedding.dimensions}, the full width")
    return dimensions


def vectors_of(
    engine: Engine, prompts: Sequence[Prompt], dimensions: int, stop: Stop | None = None
) -> NDArray[np.float32]:
    """The vectors (prompts, dimensions), each of length 1.

    The first dimensions of a vector are a vector of their own (Matryoshka representation learning, arXiv 2205.13147).

    Raises:
        InputError: ids outside the vocabulary, or `stop` was cancelled.
    """
    rows = np.stack([*last_rows(engine, prompts, stop)])[:, :dimensions].astype(np.float64)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    vectors: NDArray[np.float32] = (rows / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return vectors


def last_rows(engine: Engine, prompts: Sequence[Prompt], stop: Stop | None) -> Iterator[Logits]:
    """What the graph gives behind each prompt, (columns,).

    Raises:
        InputError: ids outside the vocabulary.
        UnavailableError: `stop` was cancelled.
    """
    for prompt in prompts:
        row = engine.last_row(prompt.ids, shared=prompt.shareable, stop=stop)
        if row is None:
            raise UnavailableError(_STOPPED)
        yield row


def rounded(vectors: NDArray[np.float32]) -> list[list[float]]:
    """The vectors as numbers for JSON, to nine decimals: float32 has no more of numbers up to 1."""
    found: list[list[float]] = vectors.astype(np.float64).round(9).tolist()
    return found
