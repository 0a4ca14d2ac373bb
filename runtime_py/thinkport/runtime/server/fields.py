"""Reads a request's body and checks it against a model of its fields.

Knows pydantic and HTTP; must not know what the fields mean.
"""

import json
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from starlette.requests import Request

from thinkport.runtime.server.api_error import ApiError, bad

UNSUPPORTED = "Not supported"
"""Begins the description of a field that is refused; the error quotes the description, not the rule of the field."""

_EXPECTED = "Input should be "  # begins what pydantic says of each type that a value may have
_PLAIN = "identity"  # the Content-Encoding that is none

Body = TypeVar("Body", bound="RequestBody")
Ids = list[Annotated[int, Field(ge=0)]]


class RequestBody(BaseModel):
    """A request's body. An unknown field is an error, so that nothing is ignored in silence; null asks for nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_unknown_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {key: value for key, value in given.items() if value is not None or key in cls.model_fields}


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The request's body.

    Raises:
        ApiError: 400, no JSON object, or one that does not fit; 415, a compressed one; 413 and 408 by the guard.
    """
    data = await request.body()
    try:
        given = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError):
        coding = request.headers.get("content-encoding", _PLAIN)
        if coding.strip().lower() not in ("", _PLAIN):  # some clients name a charset there, and send plain JSON
            told = f"the body's Content-Encoding is {coding!r:.40}, expected none: send plain JSON"
            raise ApiError(415, told) from None
        raise bad("the body is no JSON") from None
    if not isinstance(given, dict):
        raise bad("the body is no JSON object")
    _check_repeatable(given)
    return checked_fields(kind, given)


def checked_fields(kind: type[Body], given: dict[str, Any]) -> Body:
    """The fields of a body, or of a part of one.

    Raises:
        ApiError: 400, one that does not fit.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _told(error, kind, given) from None
    except RecursionError:
        raise bad("the body is nested too deeply") from None


def _check_repeatable(given: dict[str, Any]) -> None:
    """Refuse what JSON's grammar allows and no answer could repeat: 1e999, and one half of a surrogate pair."""
    try:
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise bad("the body is nested too deeply") from None
    except ValueError:
        raise bad("the body holds a number that is too large, or half of a surrogate pair") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _told(error: ValidationError, kind: type[BaseModel], given: dict[str, Any]) -> ApiError:
    errors = error.errors(include_url=False, include_input=False)
    # Of a value that may have several types, the one that it fits furthest.
    tried = [(_place(one, given), one) for one in errors if one["loc"][:1] == errors[0]["loc"][:1]]
    path, first = max(tried, key=lambda one: [int(part) for part in one[0].split(".") if part.isdecimal()])
    field = kind.model_fields.get(path)
    if field and field.description and field.description.startswith(UNSUPPORTED):
        return bad(f"{path}: {field.description}", path)
    if first["type"] != "extra_forbidden":
        same = [str(one["msg"]) for place, one in tried if place == path]
        wanted = dict.fromkeys(text.removeprefix(_EXPECTED) for text in same if text.startswith(_EXPECTED))
        reason = _EXPECTED + " or ".join(wanted) if wanted else same[0].removeprefix("Value error, ")
        return bad(f"{path}: {reason}" if path else reason, path or None)
    close = get_close_matches(path, kind.model_fields, n=1)
    return bad(f"unknown field {path!r}{f': did you mean {close[0]!r}?' if close else ''}", path)


def _place(error: ErrorDetails, given: Any) -> str:
    """A place in a body, without the names that pydantic gives to the types which one value may have."""
    parts: list[str] = []
    for index, part in enumerate(error["loc"]):
        if isinstance(part, int):
            inside = isinstance(given, list) and part < len(given)
        else:
            inside = isinstance(given, dict) and part in given
        if inside:
            given = given[part]
        elif error["type"] != "missing" or index + 1 < len(error["loc"]):
            continue
        parts.append(str(part))
    return ".".join(parts)
