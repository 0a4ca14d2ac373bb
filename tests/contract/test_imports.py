"""Imports run one way, export to deploy to runtime, and heavy packages stay where they belong."""

import ast
from pathlib import Path

import pytest
from tests.contract.source_tree import (
    MODULES,
    PARTS,
    ROOT,
    at_import_time,
    imported,
    levels,
    room_imports,
    tree_of,
)

EXPORT_PACKAGES = {"torch", "transformers", "onnx", "onnx_ir", "onnxscript", "optimum", "safetensors"}
FORBIDDEN = {
    "runtime": EXPORT_PACKAGES | {"thinkport.deploy", "thinkport.export"},
    "deploy": {"torch", "transformers", "optimum", "thinkport.export"},
    "export": {"thinkport.runtime.chat.chat", "thinkport.runtime.engine.engine", "thinkport.runtime.engine.sampling"},
}
# Not in the base install: only a function may import them, when a verb needs them.
LATE = {"onnxruntime", "onnxruntime_genai"}

every_module = pytest.mark.parametrize(
    ("part", "path"), MODULES, ids=[path.relative_to(ROOT).as_posix() for _, path in MODULES]
)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@every_module
def test_a_part_imports_nothing_that_it_must_not_know(part: str, path: Path) -> None:
    names = imported(ast.walk(tree_of(path)))
    assert not sorted({name for name in names if within(name, FORBIDDEN[part])})


@every_module
def test_imports_are_absolute(part: str, path: Path) -> None:
    tree = tree_of(path)
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("path", [path for part, path in MODULES if part != "export"], ids=lambda path: path.name)
def test_importing_a_part_needs_no_onnx_runtime(path: Path) -> None:
    names = imported(at_import_time(tree_of(path)))
    assert not sorted({name for name in names if within(name, LATE)})


def test_what_runs_at_import_leaves_out_functions_and_type_checking() -> None:
    source = "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\ndef f():\n    import d\n"
    assert sorted(imported(at_import_time(ast.parse(source)))) == ["a", "c"]


def test_no_root_makes_the_namespace_a_package() -> None:
    assert not [str(path) for folder in PARTS.values() for path in (folder / "thinkport").glob("__init__.py")]


def test_every_part_tells_type_checkers_that_it_is_typed() -> None:
    assert all((folder / "thinkport" / part / "py.typed").is_file() for part, folder in PARTS.items())


@pytest.mark.parametrize("part", PARTS)
def test_imports_between_a_parts_folders_run_downhill(part: str) -> None:
    """Late imports and those for type checkers count too: a folder is understood without those that use it."""
    needs = room_imports(part)
    assert needs.keys() - set().union(*levels(needs)) == set(), "folders that need each other"
