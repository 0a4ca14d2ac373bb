"""What to install when a part's packages are missing. Knows the extras' names; imports none of their packages."""

from importlib.util import find_spec

from thinkport.runtime.errors import MissingExtraError

# `[export]` needs an ONNX Runtime too; of the extras that bring one, this is the one that installs everywhere.
INSTALLED_WITH = {"export": "export,cpu"}


def install_line(extra: str) -> str:
    """The command that brings an extra, as a person types it."""
    return f'pip install "thinkport[{INSTALLED_WITH.get(extra, extra)}]"'


def require(extra: str, *modules: str) -> None:
    """Check that an extra's top-level modules can be found, without importing them.

    Raises:
        MissingExtraError: with the modules that are missing and the install line.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"{', '.join(missing)} not installed: run {install_line(extra)}")
