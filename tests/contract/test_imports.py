"""Imports run one way, export to deploy to runtime, and heavy packages stay where they belong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"export": ROOT / "export", "deploy": ROOT / "deploy", "runtime": ROOT / "runtime_py"}
EXPORT_PACKAGES = {"torch", "transformers", "onnx", "onnx_ir", "onnxscript", "optimum", "safetensors"}
FORBIDDEN = {
    "runtime": EXPORT_PACKAGES | {"thinkport.deploy", "thinkport.export"},
    "deploy": {"torch", "transformers", "optimum", "thinkport.export"},
    "export": {"thinkport.runtime.chat.chat", "thinkport.runtime.engine.engine", "thinkport.runtime.engine.sampling"},
}
# Not in the base install: only a function may import them, when a verb needs them.
LATE = {"onnxruntime", "onnxruntime_genai"}

MODULES = [(part, path) for part, folder in FOLDERS.items() for path in sorted((folder / "thinkport").rglob("*.py"))]
every_module = pytest.mark.parametrize(
    ("part", "path"), MODULES, ids=[path.relative_to(ROOT).as_posix() for _, path in MODULES]
)


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Every dotted name that imports bring; `from a import b` gives both a and a.b, since b may be a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import_time(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not in functions, not under TYPE_CHECKING."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        yield node
        todo += ast.iter_child_nodes(node)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@every_module
def test_a_part_imports_nothing_that_it_must_not_know(part: str, path: Path) -> None:
    names = imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    assert not sorted({name for name in names if within(name, FORBIDDEN[part])})


@every_module
def test_imports_are_absolute(part: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("path", [path for part, path in MODULES if part != "export"], ids=lambda path: path.name)
def test_importing_a_part_needs_no_onnx_runtime(path: Path) -> None:
    names = imported(at_import_time(ast.parse(path.read_text(encoding="utf-8"))))
    assert not sorted({name for name in names if within(name, LATE)})


def test_what_runs_at_import_leaves_out_functions_and_type_checking() -> None:
    source = "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\ndef f():\n    import d\n"
    assert sorted(imported(at_import_time(ast.parse(source)))) == ["a", "c"]


def test_no_root_makes_the_namespace_a_package() -> None:
    assert not [str(path) for folder in FOLDERS.values() for path in (folder / "thinkport").glob("__init__.py")]


def test_every_part_tells_type_checkers_that_it_is_typed() -> None:
    assert all((folder / "thinkport" / part / "py.typed").is_file() for part, folder in FOLDERS.items())


def room(part: str, path: Path) -> str:
    """The folder of a part that a file lies in, or the file itself where it lies in none."""
    return path.relative_to(FOLDERS[part] / "thinkport" / part).with_suffix("").parts[0]


@pytest.mark.parametrize("part", FOLDERS)
def test_imports_between_a_parts_folders_run_downhill(part: str) -> None:
    """Late imports and those for type checkers count too: a folder is understood without those that use it."""
    files = [path for of, path in MODULES if of == part]
    below: dict[str, set[str]] = {room(part, path): set() for path in files}
    rooms = set(below)
    for path in files:
        for name in imported(ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
            _, of, *inside = [*name.split("."), "", ""]
            if of == part and inside[0] in rooms - {room(part, path)}:
                below[room(part, path)].add(inside[0])
    while bottom := {name for name, needs in below.items() if not needs & below.keys()}:
        below = {name: needs for name, needs in below.items() if name not in bottom}
    assert not below, "folders that need each other"
