"""Documents to scores for a query: the prompt of each pair, and the probability of its answer.

Knows the manifest's words about reranking, a tokenizer and engines. Must not know files or a server.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import Reranking
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.filled import filled
from thinkport.runtime.prompt.prompt import Prompt
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.text_embedding import fitting, last_rows


def ranking_prompts(
    tokenizer: Tokenizer,
    reranking: Reranking,
    query: str,
    documents: Sequence[str],
    instruction: str | None,
    *,
    context: int,
    truncate: bool,
) -> list[Prompt]:
    """Each document's prompt; `context` is the most tokens of one, see `embedding_prompts`.

    Raises:
        InputError: no query, one document in place of a list, no document, an empty one, or one that is too long.
    """
    if isinstance(documents, str):
        raise InputError("documents is one text, expected a list of them: put it into brackets")
    given: object = documents  # a caller without a type checker may give anything
    if isinstance(given, bytes) or not isinstance(given, Sequence):
        raise InputError(f"documents is {type(given).__name__}, expected a list of texts")
    for what, text in (("the query", query), *((f"document {at}", one) for at, one in enumerate(documents, 1))):
        if not isinstance(text, str):
            raise InputError(f"{what} is {type(text).__name__}, expected a text")
    if not query.strip():
        raise InputError("the query is empty: say what the documents are to be scored for")
    if len(documents) == 0:
        raise InputError("there is no document to score, expected at least one")
    asked = reranking.instruction if instruction is None else instruction
    found = []
    for number, document in enumerate(documents, 1):
        if not document.strip():
            raise InputError(f"document {number} of {len(documents)} is empty: leave it out")
        what = f"the prompt of document {number}"
        found.append(pair_prompt(tokenizer, reranking, query, document, asked, context, what, truncate))
    return found


def pair_prompt(
    tokenizer: Tokenizer,
    reranking: Reranking,
    query: str,
    document: str,
    instruction: str,
    context: int | None = None,
    what: str = "the prompt",
    truncate: bool = False,
) -> Prompt:
    """One pair's prompt, in which query and document can't open a turn: guarded tokens they spell are text.

    Raises:
        InputError: it has more tokens than `context`, and isn't to be truncated.
    """
    prefix, suffix = tokenizer.encode(reranking.prefix), tokenizer.encode(reranking.suffix)
    body, lead = (
        tokenizer.encode_content(filled(reranking.body, instruction=instruction, query=query, document=text))
        for text in (document, "")
    )
    if context is not None:
        room = context - len(prefix) - len(suffix)
        body = fitting(body, room, what, truncate=truncate, least=len(lead))
    shared = common_prefix(body, lead[:-1])  # what follows may change the last token, and all are to share alike
    return Prompt(ids=[*prefix, *body, *suffix], shareable=len(prefix) + shared)


def scores_of(engine: Engine, reranking: Reranking, prompts: Sequence[Prompt], stop: Stop | None = None) -> list[float]:
    """The score of each prompt, between 0 and 1.

    Raises:
        InputError: `stop` was cancelled.
    """
    return [relevance(row, reranking) for row in last_rows(engine, prompts, stop)]


def relevance(logits: NDArray[np.float32], reranking: Reranking) -> float:
    """The share of yes among yes and no, by logits (vocabulary,)."""
    apart = float(logits[reranking.no_id]) - float(logits[reranking.yes_id])
    return float(1 / (1 + np.exp(np.float64(min(apart, 700.0)))))
