r"""The JSON schema of a tool's arguments: checked when it is given, and held against the arguments that come.

Schemas are of any draft that jsonschema knows (https://json-schema.org), 2020-12 where they don't say. Generators write
`null` where they mean nothing, and patterns of other languages (`\p{L}`), which Python has no check for: a grammar
holds what it can of those. Must not know how a call is sampled or told from text.
"""

import re
from collections.abc import Mapping
from typing import Any

from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.template import plain_data
from thinkport.runtime.tools.response_format import JsonSchema
from thinkport.runtime.tools.tool_calls import shown

_LONGEST = 240  # characters of a problem that jsonschema tells, which quotes whole values
_DATA = ("default", "const", "enum", "examples")  # what stands here is no schema


class ToolSchema:
    """A schema of an object; `parameters` is a copy without its nulls."""

    def __init__(self, name: str, parameters: Mapping[str, Any] | None):
        """Take the parameters of the tool `name`; None are those of a tool that takes none.

        Raises:
            InputError: they are no JSON schema of an object.
        """
        self._name = name
        self.parameters: dict[str, Any] = _read(name, {"type": "object"} if parameters is None else parameters)
        self._validator = _validator(name, self.parameters)

    def violation(self, arguments: Any) -> str | None:
        """What the schema refuses in the arguments, with its path; None if nothing."""
        from jsonschema.exceptions import best_match

        try:
            violation = best_match(self._validator.iter_errors(arguments))
        except Exception as error:  # whatever a schema that can't be followed and any numbers bring about
            found = _cut(str(error) or repr(error))
            return f"the arguments can't be held against the schema of {self._name!r}: {found}"
        if violation is None:
            return None
        return f"the arguments of {self._name!r} are wrong at {violation.json_path}: {_cut(violation.message)}"


def _read(name: str, parameters: Any) -> dict[str, Any]:
    kinds = parameters.get("type") or "object" if isinstance(parameters, Mapping) else None
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        found = shown(repr(parameters))
        raise InputError(f'tool {name!r} has the parameters {found}, expected a JSON schema with "type": "object"')
    try:
        JsonSchema(parameters)
    except InputError as error:
        raise InputError(f"the parameters of tool {name!r}: {error}") from None
    found = _without_nulls(plain_data(parameters))
    assert isinstance(found, dict)
    return found | {"type": "object"}


def _validator(name: str, parameters: Mapping[str, Any]) -> Any:
    """The validator of the schema's own draft."""
    from jsonschema import Draft202012Validator, SchemaError  # slow to import, and needed only where tools are given
    from jsonschema.validators import validator_for
    from referencing import Registry

    named = isinstance(parameters.get("$schema"), str)
    kind: Any = validator_for(parameters, default=Draft202012Validator) if named else Draft202012Validator
    try:
        kind.check_schema(parameters, format_checker=None)  # its formats are Python's, such as that of a pattern
    except SchemaError as error:
        raise InputError(
            f"the parameters of tool {name!r} are no JSON schema: {_cut(error.message)} (at {error.json_path})"
        ) from None
    return kind(_checkable(parameters), registry=Registry())  # an empty one: no reference is downloaded


def _without_nulls(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_nulls(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value if key in _DATA else _without_nulls(value)
        for key, value in schema.items()
        if value is not None or key in _DATA
    }


def _checkable(schema: Any) -> Any:
    """The schema without patterns that Python can't compile, and without what depends on them."""
    if isinstance(schema, list):
        return [_checkable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"pattern"} if not _compiles(schema.get("pattern", "")) else set()
    named = schema.get("patternProperties")
    if isinstance(named, dict) and not all(map(_compiles, named)):
        left_out |= {"patternProperties", "additionalProperties", "unevaluatedProperties"}
    return {key: value if key in _DATA else _checkable(value) for key, value in schema.items() if key not in left_out}


def _compiles(pattern: Any) -> bool:
    try:
        return isinstance(pattern, str) and re.compile(pattern) is not None
    except (re.error, OverflowError, RecursionError):
        return False


def _cut(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
