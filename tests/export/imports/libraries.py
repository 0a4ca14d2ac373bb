"""The libraries that define the formats; a test skips, and says why, where one is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import types
import warnings
from typing import Any

import pytest


def module(name: str) -> Any:
    """A module of a library that is no requirement of the project."""
    top = name.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        pytest.skip(f"{top}, which defines the format, is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"{top} can't be imported: {error}")
    return found


def gptqmodel(name: str) -> Any:
    """A module of GPTQModel, which logs every step and would compile an extension for packing."""
    os.environ.setdefault("GPTQMODEL_DISABLE_PACK_EXT", "1")
    level = logging.root.level
    found = module(name)
    logging.root.setLevel(level)
    return found


def autoawq(name: str) -> Any:
    """A module of AutoAWQ, whose own `__init__` asks for a transformers of 2025."""
    spec = importlib.util.find_spec("awq")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("awq (AutoAWQ), which defines the format, is not installed")
    if "awq" not in sys.modules:
        package = types.ModuleType("awq")
        package.__path__, package.__spec__ = list(spec.submodule_search_locations), spec
        sys.modules["awq"] = package
    return module(name)
