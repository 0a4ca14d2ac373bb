"""Formats and tools as llguidance's grammars (https://github.com/guidance-ai/llguidance, docs/syntax.md).

Knows how Qwen3 writes JSON. Must not know vocabularies.
"""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from thinkport.runtime.errors import InputError, MissingExtraError
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat

# One line with a space after commas and colons: Qwen3 writes its calls so, and templates' `tojson` writes history so.
# White space left to the model, even bounded, is tokens that a small model wastes until none are left for the value.
_ONE_LINE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_OPTIONS = "x-guidance"  # a schema's own options for llguidance, which win in an answer


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
        case JsonSchema(schema):
            return _json_grammar(schema)
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
