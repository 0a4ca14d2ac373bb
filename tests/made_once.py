"""Folders that one of a run's worker processes makes for all of them."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def made_once(
    factory: pytest.TempPathFactory, key: tuple[object, ...], name: str, make: Callable[[Path], object]
) -> Path:
    """The folder `name` that `make` writes, once a run for each key; whoever asks meanwhile waits.

    Keys of the same representation are the same. What is made belongs to all: tests change copies.
    """
    base = factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    place = run / f"made-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"
    with FileLock(f"{place}.lock"):
        if not place.is_dir():
            partial = place.with_name(f"{place.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # of a maker that failed
            partial.mkdir()
            make(partial / name)
            partial.rename(place)
    return place / name
