"""A model's vocabulary as grammars see it, and texts held to a grammar: which ids may follow, where a text may end.

Knows llguidance's tokenizer and matcher. Must not know when in a reply a constraint holds.
"""

from collections.abc import Collection, Mapping
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.constraints.grammar_text import argument_schemas, call_grammar, grammar_of, import_llguidance
from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.tokenizer import Tokenizer, token_bytes
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat
from thinkport.runtime.tools.toolbox import Tool

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Ids = npt.NDArray[np.int64]
_NAMES: dict[type, str] = {JsonSchema: "the JSON schema", Regex: "the regular expression", Choice: "the choice"}


class Constraint:
    """A grammar's matcher. Ask for a mask, draw, accept what was drawn; `Grammars` makes one."""

    def __init__(self, matcher: "LLMatcher", what: str, *, end_ids: Collection[int], stop_ids: Collection[int]):
        """`end_ids` are the ids that the matcher has for the end, `stop_ids` those that end this text instead.

        `what` names the grammar in errors.
        """
        self._matcher, self._what = matcher, what
        self.stop_ids = frozenset(stop_ids)
        self._ends, self._stops = _array(end_ids), _array(stop_ids)

    @property
    def done(self) -> bool:
        """Whether the text is whole and nothing can be added: only a stop may come."""
        return self._matcher.is_stopped()

    def mask(self, logits: Row) -> Row:
        """A copy of logits (vocabulary,) with minus infinity for what may not come next.

        A stop id may come where the text is whole. No other added token ever may.

        Raises:
            InputError: the grammar turned out to be too complex.
        """
        words = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        # Adding 0 or minus infinity takes the same time whatever the mask; choosing takes up to 14 times as long.
        masked: Row = _biases().take(words, axis=0).reshape(-1)[: len(logits)]
        stop = masked[self._ends].max()
        masked[self._ends] = -np.inf
        masked[self._stops] = stop
        masked += logits
        return masked

    def accept(self, id: int) -> None:  # noqa: A002 - the domain's word
        """Take note of the id that came; a stop id changes nothing.

        Raises:
            InputError: the grammar does not have it here, or turned out to be too complex.
        """
        if id not in self.stop_ids:
            self._matcher.consume_token(id)
            self._check()

    def restart(self) -> None:
        """Begin a new text of the same grammar."""
        self._matcher.reset()

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = self._matcher.get_error().split("\n", 1)[0]
            raise InputError(f"{self._what} can't be enforced any further: {reason}. Simplify it")


def _array(ids: Collection[int]) -> Ids:
    return np.array(sorted(ids), np.int64)


@cache
def _biases() -> npt.NDArray[np.float32]:
    """What the eight bits of each byte add to eight logits (256, 8), the lowest bit first."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    return np.where(bits == 1, np.float32(0), np.float32(-np.inf))


class Grammars:
    """Makes constraints. One a model, from any thread; its vocabulary is prepared once, when first needed."""

    def __init__(self, tokenizer: Tokenizer, *, vocab_size: int, stop_ids: Collection[int]):
        """`vocab_size` is the model's, whose logits may be more than the tokenizer has ids; those are never allowed."""
        self.tokenizer, self._vocab_size = tokenizer, vocab_size
        self.stop_ids = frozenset(stop_ids)
        self._lock = Lock()
        self._prepared: LLTokenizer | None = None

    def prepare(self) -> "LLTokenizer":
        """The vocabulary in llguidance's form; about a second for 150,000 ids the first time, then at once.

        Raises:
            MissingExtraError: llguidance is not installed.
        """
        with self._lock:
            if self._prepared is None:
                guidance = import_llguidance()
                wrapper = guidance.TokenizerWrapper(_Vocabulary(self.tokenizer, self._vocab_size, self.stop_ids))
                self._prepared = guidance.LLTokenizer(
                    wrapper, n_vocab=self._vocab_size, eos_token=sorted(self.stop_ids)
                )
            return self._prepared

    def answer(self, response_format: ResponseFormat) -> Constraint:
        """Holds an answer to a format, up to a stop id.

        Raises:
            InputError: llguidance can't enforce the schema or the regular expression; the message has its words.
        """
        return self._constraint(grammar_of(response_format), _NAMES[type(response_format)], self.stop_ids)

    def call(self, tools: Collection[Tool], end: int) -> Constraint:
        """Holds what stands between a call's tags to a call of one of `tools`, up to the closing tag's id, `end`.

        A tool whose schema llguidance can't enforce is held to what of it can be, or to any object.
        """
        schemas = {tool.name: next(iter(argument_schemas(tool.parameters))) for tool in tools}
        if not self._takes(schemas):  # asked tool by tool only where it matters: each time costs a millisecond
            schemas = {tool.name: self._enforceable(tool) for tool in tools}
        return self._constraint(call_grammar(schemas), "a tool's schema", (end,))

    def _enforceable(self, tool: Tool) -> Mapping[str, Any]:
        return next(schema for schema in argument_schemas(tool.parameters) if self._takes({tool.name: schema}))

    def _takes(self, schemas: Mapping[str, Mapping[str, Any]]) -> bool:
        refused, _ = import_llguidance().LLMatcher.validate_grammar_with_warnings(call_grammar(schemas), self.prepare())
        return not refused

    def _constraint(self, grammar: str, what: str, stop_ids: Collection[int]) -> Constraint:
        matcher = import_llguidance().LLMatcher(self.prepare(), grammar, log_level=0)
        if matcher.is_error():
            reason = " ".join(matcher.get_error().split())
            raise InputError(f"{what} can't be enforced: {reason}. Simplify it, or check the answer yourself")
        return Constraint(matcher, what, end_ids=self.stop_ids, stop_ids=stop_ids)


class _Vocabulary:
    """What llguidance asks of a tokenizer: each id's bytes, and which ids are no text.

    An id that the tokenizer lacks has no bytes, so that no grammar can want it.
    """

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, stop_ids: Collection[int]):
        self._tokenizer = tokenizer
        self.eos_token_id = min(stop_ids)
        self.tokens = [token_bytes(tokenizer.token(at) or "") for at in range(vocab_size)]
        self.special_token_ids = [at for at in sorted(tokenizer.added.values()) if at < vocab_size]

        self._bytes = {token: at for at, token in enumerate(self.tokens) if len(token) == 1}

    def __call__(self, text: bytes) -> list[int]:
        """Ids of exactly these bytes, which is how text that a grammar leaves no choice about is split."""
        ids = self._tokenizer.encode_plain(text.decode())
        if b"".join(self.tokens[at] for at in ids) == text:
            return ids
        return [self._bytes[bytes([byte])] for byte in text]  # the tokenizer would normalize it to other characters
