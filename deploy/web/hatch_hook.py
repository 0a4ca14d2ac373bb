"""Has wheels and sdists carry the built chat page. An editable install goes without, and its server says how."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    """Builds the page before a wheel or an sdist is put together."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """PyPI's Node, where the page has to be built and the machine has none.

        Hatchling doesn't say what is built; the name of the hook (PEP 660) among a front end's arguments does.
        """
        if any("editable" in word for word in sys.argv):
            return []
        builder = _builder(self.root)
        return [] if builder.is_current() or builder.find_node() else [builder.NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling. Raises PageError where the page can't be built."""
        if version != "editable":
            _builder(self.root).build()


def _builder(root: str) -> ModuleType:
    spec = spec_from_file_location("thinkport_page_build", Path(root) / "deploy" / "web" / "build.py")
    assert spec is not None, "the path ends in .py"
    assert spec.loader is not None, "a file has a loader"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
