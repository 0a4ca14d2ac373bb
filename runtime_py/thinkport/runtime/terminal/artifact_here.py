"""Lets a verb's ARTIFACT be an id on the Hub: it is fetched before the verb starts, and the verb gets a folder.

The one place for it: what a verb calls knows folders only.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any


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
