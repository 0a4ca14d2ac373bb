"""What an answer can be held to: JSON of a schema, a regular expression, or one of several texts.

The constraint holds for the answer only; a thought before it stays free. Knows nothing of how it is enforced.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, PydanticUserError

from thinkport.runtime.errors import InputError


@dataclass(frozen=True)
class JsonSchema:
    """An answer that is one JSON value of a schema (https://json-schema.org); `{}` or True takes any value.

    A pydantic model's class stands for its schema: `Model.model_validate_json(end.answer)` reads the answer.
    """

    schema: Mapping[str, Any] | bool | type[BaseModel]

    def __post_init__(self) -> None:
        if isinstance(self.schema, type) and issubclass(self.schema, BaseModel):
            object.__setattr__(self, "schema", _schema_of(self.schema))
        if not isinstance(self.schema, Mapping | bool):
            raise InputError(
                f"a JSON schema is {type(self.schema).__name__}, expected a mapping, a bool or a pydantic model"
            )
        try:
            json.dumps(self.schema)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"the JSON schema is not JSON data: {error}") from error

    @property
    def data(self) -> Mapping[str, Any] | bool:
        """The schema as JSON data."""
        assert isinstance(self.schema, Mapping | bool), "a class was replaced by its schema"
        return self.schema


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except PydanticUserError as error:
        told = " ".join(str(error).split())
        raise InputError(f"{model.__name__} has no JSON schema: {told[:200]}") from error


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
