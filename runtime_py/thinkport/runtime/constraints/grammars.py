"""Formats and tools as llguidance's grammars, a model's vocabulary as they see it, and texts held to one.

A grammar says which ids may follow a text and where the text may end. Their syntax is in docs/syntax.md of
https://github.com/guidance-ai/llguidance. Knows how Qwen3 writes JSON; must not know when in a reply one holds.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.errors import InputError, MissingExtraError
from thinkport.runtime.prompt.tokenizer import Tokenizer, token_bytes
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat
from thinkport.runtime.tools.toolbox import Tool

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# One line with a space after commas and colons: Qwen3 writes its calls so, and templates' `tojson` writes history so.
# White space left to the model, even bounded, is tokens that a small model wastes until none are left for the value.
_ONE_LINE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_OPTIONS = "x-guidance"  # a schema's own options for llguidance, which win in an answer
Ids = npt.NDArray[np.int64]
_NAMES: dict[type, str] = {JsonSchema: "the JSON schema", Regex: "the regular expression", Choice: "the choice"}


def import_llguidance() -> ModuleType:
    """llguidance, imported on the first call: most replies have neither a format nor a call.

    Raises:
        MissingExtraError: it is not installed; the message carries the install line.
    """
    try:
        return import_module("llguidance")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "llguidance is not installed, which holds answers to a format and calls to their tools: "
            "pip install llguidance"
        ) from error


def grammar_of(response_format: ResponseFormat) -> str:
    """The grammar of an answer in this format; only a matcher tells whether llguidance can take it.

    Raises:
        InputError: text that is not Unicode, or a schema that is no JSON.
    """
    match response_format:
        case JsonSchema():
            return _json_grammar(response_format.data)
        case Regex(pattern):
            return str(import_llguidance().LLMatcher.grammar_from_regex(_unicode(pattern)))
        case Choice(options):
            return "start: " + " | ".join(json.dumps(_unicode(option)) for option in options)


def call_grammar(schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """The grammar between a call's tags: the name of one of the tools, and arguments of the schema that it has here."""
    rules = ["start: " + " | ".join(f"call_{at}" for at in range(len(schemas)))]
    for at, (name, schema) in enumerate(schemas.items()):
        lead, end = f'\n{{"name": "{name}", "arguments": ', "}\n"
        rules.append(f"call_{at}: {json.dumps(lead)} arguments_{at} {json.dumps(end)}")
        rules.append(f"arguments_{at}: %json {json.dumps(schema)}")
    return "\n".join(rules)


def argument_schemas(parameters: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Schemas for a tool's arguments, from its own to any object, of which the first that can be enforced is good.

    What the later ones let through is found when the call is read.
    """
    yield {**parameters, "type": "object", _OPTIONS: _ONE_LINE}
    yield {**parameters, "type": "object", _OPTIONS: {**_ONE_LINE, "lenient": True}}  # without what llguidance lacks
    yield {"type": "object", _OPTIONS: _ONE_LINE}


def _json_grammar(schema: Mapping[str, Any] | bool) -> str:
    if isinstance(schema, bool):
        schema = {} if schema else {"enum": []}
    try:
        text = json.dumps({**schema, _OPTIONS: {**_ONE_LINE, **schema.get(_OPTIONS, {})}})
        return str(import_llguidance().LLMatcher.grammar_from_json_schema(text))
    except (ValueError, TypeError) as error:
        raise InputError(f"the JSON schema can't be enforced: {error}") from None


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!r} is not valid Unicode: read it with its real encoding") from None
    return text


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
