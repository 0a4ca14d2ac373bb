"""What an answer can be held to: JSON of a schema, a regular expression, or one of several texts.

The constraint holds for the answer only; a thought before it stays free. Knows nothing of how it is enforced.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thinkport.runtime.errors import InputError


@dataclass(frozen=True)
class JsonSchema:
    """An answer that is one JSON value of a schema (https://json-schema.org); `{}` or True takes any value."""

    schema: Mapping[str, Any] | bool

    def __post_init__(self) -> None:
        if not isinstance(self.schema, Mapping | bool):
            raise InputError(f"a JSON schema is {type(self.schema).__name__}, expected a mapping or a bool")
        try:
            json.dumps(self.schema)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"the JSON schema is not JSON data: {error}") from error


@dataclass(frozen=True)
class Regex:
    r"""An answer that a regular expression matches from its first character to its last.

    The syntax is that of https://docs.rs/regex, without look-around and `\b`.
    """

    pattern: str

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise InputError(f"a regular expression is {type(self.pattern).__name__}, expected its text")


@dataclass(frozen=True)
class Choice:
    """An answer that is one of `options`, character for character."""

    options: tuple[str, ...]

    def __post_init__(self) -> None:
        given: Any = self.options
        options = () if isinstance(given, str) else tuple(given)
        if not options or not all(isinstance(option, str) and option for option in options):
            raise InputError(f"the options are {given!r}, expected one or more texts, none of them empty")
        object.__setattr__(self, "options", options)


ResponseFormat = JsonSchema | Regex | Choice
