"""Options of the command line as values that the runtime takes. Only what was given is passed on.

So every default stands once, in the dataclass or preset that it belongs to. An ARTIFACT may be an id on the Hub: it is
fetched before the verb starts, and what the verb calls knows folders only.
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from thinkport.runtime.errors import InputError
from thinkport.runtime.thinking.thinking import Thinking
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat

OFF = "off"


def given(*, top_k: int | None, **values: float | None) -> dict[str, float | None]:
    """The options that were given; the mode's preset has the others. As in presets, a top_k of 0 is no limit."""
    limit = {} if top_k is None else {"top_k": top_k or None}
    return {name: value for name, value in values.items() if value is not None} | limit


def thinking_of(
    think: bool | None,
    think_budget: int | None,
    soft_from: str | None,
    think_width: int | None = None,
    think_choose: str | None = None,
    think_quorum: int | None = None,
) -> Thinking:
    """Settings of the options that were given.

    Raises:
        InputError: a value out of range.
    """
    settings: dict[str, Any] = {"enabled": think, "budget": think_budget}
    if soft_from is not None:
        settings["soft_from"] = None if soft_from == OFF else _share(soft_from)
    several = {"width": think_width, "choose": think_choose, "quorum": think_quorum}
    several = {name: value for name, value in several.items() if value is not None}
    if several and "width" not in several:
        raise InputError("--think-choose and --think-quorum are for several thoughts: give --think-width too")
    settings |= several
    return Thinking(**settings)


def prompt_of(text: str) -> str:
    """What is said to the model; `-` is what comes by standard input.

    Raises:
        InputError: nothing is.
    """
    said = sys.stdin.read() if text == "-" else text
    if not said.strip():
        raise InputError("the prompt is empty, expected something to say to the model (- reads it from standard input)")
    return said


def reply_thinking_of(think: bool | None, think_budget: int | None, soft_from: str | None, **several: Any) -> Thinking:
    """Settings of one reply, which can't be without a thought and have a budget for it.

    Raises:
        InputError: it is asked for both, or a value is out of range.
    """
    if think is False and think_budget:
        raise InputError(
            f"--no-think rules thinking out and --think-budget gives it {think_budget} tokens: leave one out"
        )
    if think is False and (width := several.get("think_width") or 1) > 1:
        raise InputError(f"--no-think rules thinking out and --think-width asks for {width} thoughts: leave one out")
    return thinking_of(think, think_budget, soft_from, **several)


def response_format_of(schema: Path | None, regex: str | None, choices: Sequence[str]) -> ResponseFormat | None:
    """The one form that an answer is held to, None if none was given.

    Raises:
        InputError: more than one form, or a file that is no JSON.
    """
    if (schema is not None) + (regex is not None) + bool(choices) > 1:
        raise InputError("more than one of --schema, --regex and --choice is given, expected one of them")
    if schema is not None:
        return JsonSchema(read_json(schema))
    if regex is not None:
        return Regex(regex)
    return Choice(tuple(choices)) if choices else None


def tools_of(path: Path | None) -> list[dict[str, Any]] | None:
    """The tools of a file: a list of them, or one.

    Raises:
        InputError: a file that is no JSON, or holds something else.
    """
    if path is None:
        return None
    data = read_json(path)
    tools = data if isinstance(data, list) else [data]
    if not tools or not all(isinstance(tool, dict) for tool in tools):
        raise InputError(f"{path} holds no tools, expected a JSON list of them, each an object with its schema")
    return tools


def read_json(path: Path) -> Any:
    """The JSON value of a file.

    Raises:
        InputError: it can't be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from error


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--soft-from is {text!r}, expected a share of the budget below 1, or {OFF}") from None


def artifact_here(verb: Callable[..., None]) -> Callable[..., None]:
    """The same verb, for the console command, which gives every argument by its name."""

    @wraps(verb)
    def run(**options: Any) -> None:
        if isinstance(artifact := options.get("artifact"), Path):
            options["artifact"] = _folder(artifact)
        verb(**options)

    return run


def _folder(artifact: Path) -> Path:
    if artifact.exists():
        return artifact
    from thinkport.runtime.hub import artifact_folder, is_on_hub
    from thinkport.runtime.terminal.transfer_view import transfer_shown

    if not is_on_hub(artifact.as_posix()):
        return artifact  # the verb says that it is not there, after it has looked at its options
    with transfer_shown(f"Fetching {artifact.as_posix()}") as progress:
        return artifact_folder(artifact.as_posix(), progress=progress)
