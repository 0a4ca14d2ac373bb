"""The door to llguidance, which computes what a grammar lets come next."""

from importlib import import_module
from types import ModuleType

from thinkport.runtime.errors import MissingExtraError


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
