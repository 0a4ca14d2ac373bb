"""What may be asked of an engine: prompts and batches are held against the model here, before anything runs.

Every refusal says what was found, what was expected and what to do.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.session import Ids, LaneSource
from thinkport.runtime.errors import ContextLengthError, InputError


def check_prompt(ids: Sequence[int], session: LaneSource) -> Ids:
    """The prompt as an array, once it is known to fit the model with room for a token of reply.

    Raises:
        InputError: an empty prompt, or ids outside the vocabulary.
        ContextLengthError: a prompt that fills the context.
    """
    array = _listed(ids, session.vocab_size)
    if len(array) == 0:
        raise InputError("the prompt is empty, expected at least one token: give it some text")
    if len(ids) >= session.context_length:
        raise ContextLengthError(
            f"the prompt has {len(ids)} tokens, the model's maximum context length is {session.context_length} with "
            "the reply: shorten the prompt or start a new chat"
        )
    return array


def check_scored(ids: Sequence[int], first: int, context: int, session: LaneSource) -> Ids:
    """The ids to be scored from number `first` on as an array; all but the last are to fit into `context`.

    Raises:
        InputError: fewer than two, ids outside the vocabulary, too many, or none before `first`.
    """
    array = _listed(ids, session.vocab_size)
    if len(ids) < 2:
        raise InputError(f"{len(ids)} tokens to score, expected at least two: the first has nothing before it")
    if not 1 <= first < len(ids):
        raise InputError(f"scoring begins at token {first} of {len(ids)}, expected 1 to {len(ids) - 1}")
    if len(ids) - 1 > context:
        raise InputError(
            f"{len(ids)} tokens to score at once, the model's context is {context}: score them in windows, as "
            "`Model.score` does"
        )
    return array


def check_fits(tokens: int, context: int) -> None:
    """Raise `ContextLengthError` where so many tokens, with one of a reply, are more than the memory for KV caches
    holds.
    """
    if tokens >= context:
        raise ContextLengthError(
            f"the prompt has {tokens} tokens, and the KV cache of {context} at most fits into the memory limit: "
            "shorten the prompt, start a new chat, or load the model with a higher memory_limit"
        )


def check_limit(max_tokens: int | None) -> None:
    """Raise `InputError` for a limit below one token; None is no limit but the context."""
    if max_tokens is not None and (type(max_tokens) is not int or max_tokens < 1):
        raise InputError(f"max_tokens is {max_tokens!r}, expected 1 or more, or nothing for no limit but the context")


def check_keep(keep: int, lengths: Ids) -> None:
    """Raise `InputError` unless every row has `keep` tokens to give logits of."""
    if not 1 <= keep <= int(lengths.min()):
        raise InputError(f"keep is {keep}, expected 1 to {int(lengths.min())}, the tokens of the shortest row")


def check_batch(ids: npt.ArrayLike, past: int, batch: int | None, session: LaneSource) -> Ids:
    """Ids (batch, sequence) of a batch, once known to fit; `batch` is the open lane's, None if there is none.

    Raises:
        InputError: another shape, ids outside the vocabulary, a batch unlike the open one, several tokens over a
            batched past, or more tokens than the context.
    """
    array = np.asarray(ids)
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"ids have shape {array.shape}, expected (batch, sequence), neither of them 0")
    array = _vocabulary(array, session.vocab_size)
    rows, columns = array.shape
    if past and rows != batch:
        raise InputError(f"{rows} rows over a KV cache of {batch}: reset the engine before another batch")
    if past and columns > 1 and rows > 1:
        raise InputError(f"{columns} tokens over a batched past, expected 1 a row: step token by token, or use one row")
    if past + columns > session.context_length:
        raise InputError(
            f"{past + columns} tokens, the model's context is {session.context_length}: shorten or reset the sequences"
        )
    return array


def check_lengths(
    ids: Ids, past: int, lengths: npt.ArrayLike | None, attention_mask: npt.ArrayLike | None, session: LaneSource
) -> Ids:
    """Each row's real tokens (batch,), from `lengths` or from a right-padded mask like `ids`.

    Raises:
        InputError: both are given, left padding, lengths out of range, padding over a past, or rows of unequal
            lengths on a graph that can't take them.
    """
    rows, columns = ids.shape
    if lengths is not None and attention_mask is not None:
        raise InputError("both lengths and attention_mask are given, expected one of them: leave one out")
    if attention_mask is not None:
        lengths = _mask_lengths(np.asarray(attention_mask), ids.shape)
    if lengths is None:
        return np.full(rows, columns, np.int64)
    array = np.asarray(lengths, np.int64)
    if array.shape != (rows,) or array.min() < 1 or array.max() > columns:
        raise InputError(f"lengths are {array.tolist()}, expected {rows} numbers from 1 to {columns}")
    padded = bool((array < columns).any())
    if padded and past:
        raise InputError("padding over a non-empty KV cache, expected it in the first step only: reset the engine")
    if padded and not session.ragged_batches:
        raise InputError(
            "rows of unequal lengths, this graph takes equal ones: run them one by one or pick a fused graph"
        )
    return array


def _mask_lengths(mask: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Ids:
    if mask.shape != shape:
        raise InputError(f"attention_mask has shape {mask.shape}, expected {shape} like the ids")
    lengths: Ids = mask.astype(np.int64).sum(axis=1)
    if not np.array_equal(mask, np.arange(shape[1]) < lengths[:, None]):
        raise InputError("the attention mask is not ones and then zeros (left padding?): pad rows on the right")
    return lengths


def _listed(ids: Sequence[int], size: int) -> Ids:
    """Ids (sequence,) of the vocabulary, perhaps none."""
    given: object = ids  # a caller without a type checker may give anything
    if given is None or isinstance(given, str | bytes) or np.ndim(ids) != 1:
        raise InputError(f"ids are {type(given).__name__}, expected a list of whole numbers: encode the text first")
    return _vocabulary(np.asarray(ids), size) if len(ids) else np.empty(0, np.int64)


def _vocabulary(ids: npt.NDArray[np.int64], size: int) -> Ids:
    if not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"ids are {ids.dtype}, expected whole numbers: encode the text first")
    wrong = ids[(ids < 0) | (ids >= size)]
    if wrong.size:
        raise InputError(f"id {int(wrong[0])} is outside the vocabulary of {size}: is this another model's tokenizer?")
    return ids.astype(np.int64)
