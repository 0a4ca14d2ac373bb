"""Python functions as tools: their names, docstrings and annotated parameters as a model is told of them.

Knows functions and JSON schemas; must not know how a call is sampled or told from text.
"""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, getdoc, signature
from typing import Any, cast

from thinkport.runtime.errors import InputError

ToolsGiven = Sequence[Mapping[str, Any] | Callable[..., Any]]
_DATA = ("default", "const", "enum", "examples")  # what stands here is no schema


def tool_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The tool that a function is, as OpenAI's interface describes one; a call's arguments go to it as keywords.

    The docstring says what it does. Parameters have the schemas of their annotations, as pydantic makes them;
    `Annotated[int, Field(description="...")]` describes one.

    Raises:
        InputError: something without a name, a parameter without one (`*args`, positional-only), or an annotation
            that JSON can't hold.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise InputError(f"the tool {function!r} has no name, expected a function made with def, or a tool's mapping")
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError) as error:  # of much that is written in C
        raise InputError(f"the parameters of the tool {name} can't be told: write a function around it") from error
    for one in parameters:
        if one.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise InputError(
                f"the tool {name} has the parameter {one}, expected parameters that are given by name: write a "
                "function around it"
            )
    described = {"name": name, "description": getdoc(function) or "", "parameters": _parameters(function, name)}
    return {"type": "function", "function": described}


def described(tools: ToolsGiven | None) -> list[Mapping[str, Any]] | None:
    """Tools as mappings: functions are described, all others are as they were; what is no list stays for its check."""
    if tools is None or isinstance(tools, Mapping | str) or not isinstance(tools, Sequence):
        return tools  # type: ignore[return-value]
    return [tool_of(one) if callable(one) else one for one in tools]


def _parameters(function: Callable[..., Any], name: str) -> dict[str, Any]:
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        schema = TypeAdapter(cast("Any", function)).json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema, NameError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"the parameters of the tool {name} have no JSON schema: {told[:200]}") from error
    found = _untitled(schema)
    assert isinstance(found, dict)
    return found


def _untitled(schema: Any, *, named: bool = False) -> Any:
    """A schema without the titles that pydantic makes of names; `named`: the keys of `schema` are the user's names."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value
        if key in _DATA and not named
        else _untitled(value, named=key in ("properties", "$defs") and not named)
        for key, value in schema.items()
        if named or key != "title"
    }
