"""Every error that the runtime raises on purpose, and its warnings.

A message says what was found, what was expected and what to do next. The command line turns these into one line on
stderr and an exit code; a library user catches `ThinkportError` or one of its kinds.
"""

from collections.abc import Sequence
from difflib import get_close_matches


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """How a message about an unknown `name` goes on: the name that it resembles, or all that there are."""
    close = get_close_matches(name, names, n=1)
    return f": did you mean {close[0]!r}?" if close else f", expected one of: {', '.join(names) or 'none'}"


class ThinkportError(Exception):
    """Base of all errors a user can cause or mend; `exit_code` is what the command line ends with."""

    exit_code = 1


class ArtifactError(ThinkportError):
    """An artifact folder that is missing, incomplete, changed, or newer than this program."""

    exit_code = 3


class MissingExtraError(ThinkportError):
    """A part of thinkport whose packages are not installed; the message carries the install line."""

    exit_code = 4


class InputError(ThinkportError):
    """A request that can't be run: ids out of range, a prompt longer than the context, unsupported padding."""

    exit_code = 2


class ContextLengthError(InputError):
    """A prompt that is longer than the model's context, or than the KV cache may become."""


class UnavailableError(InputError):
    """A request that can be run later: replies in progress hold the memory, or the model is unloaded or closed."""


class CacheLostError(InputError):
    """A reply or `Engine.logits` can't go on: a later use has its KV cache, or others needed the memory."""


class CallbackError(ThinkportError):
    """A callback of a turn that tried to end the program, which only its own threads can."""


class ThinkportWarning(UserWarning):
    """Base of the warnings that the runtime gives through Python's `warnings`."""


class GreedyThinkingWarning(ThinkportWarning):
    """A reply thinks with a temperature of 0, which Qwen3 advises against; given once a model."""


class ProviderWarning(ThinkportWarning):
    """A model runs on another provider or graph than the machine's best, or on one that could not be checked."""
