"""Hatchling's hook: compiles the library, and gives the wheel its tag and its file."""

import os
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from compile_library import SYSTEM, SYSTEMS, compile_library, own_compiler, this_system


class KernelsHook(BuildHookInterface[Any]):
    """Compiles for this system with its own compiler, or with Zig's."""

    def dependencies(self) -> list[str]:
        """Zig's package, where it is what compiles."""
        return [] if own_compiler() and SYSTEM not in os.environ else ["ziglang>=0.15"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the library into the wheel."""
        other = os.environ.get(SYSTEM)
        name = other or this_system()
        library = compile_library(name, Path(mkdtemp()), None if other else own_compiler())
        build_data["force_include"][str(library)] = f"thinkport_kernels/{library.name}"
        build_data["pure_python"] = False
        if other or own_compiler() is None:
            build_data["tag"] = f"py3-none-{SYSTEMS[name].tag}"
        else:
            build_data["infer_tag"] = False
            build_data["tag"] = f"py3-none-{_own_tag()}"


def _own_tag() -> str:
    """The tag of what this system alone is sure to run."""
    from packaging.tags import platform_tags

    return next(iter(tag for tag in platform_tags() if "manylinux" not in tag and "musllinux" not in tag))
