"""The product's source files and what they import; the one walker for all tests about structure."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = {"export": ROOT / "export", "deploy": ROOT / "deploy", "runtime": ROOT / "runtime_py"}
MODULES = [(part, path) for part, folder in PARTS.items() for path in sorted((folder / "thinkport").rglob("*.py"))]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


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


def room(part: str, path: Path) -> str:
    """The folder of a part that a file lies in, or the file itself where it lies in none."""
    of, *inside = path.relative_to(PARTS[part] / "thinkport").with_suffix("").parts
    return inside[0] if inside else of


def room_imports(part: str) -> dict[str, set[str]]:
    """What each folder of a part imports of the part's others; late imports and those for type checkers count too."""
    files = [path for of, path in MODULES if of == part]
    needs: dict[str, set[str]] = {room(part, path): set() for path in files}
    for path in files:
        own = room(part, path)
        for name in imported(ast.walk(tree_of(path))):
            _, of, inside, *_ = [*name.split("."), "", ""]
            if of == part and inside in needs and inside != own:
                needs[own].add(inside)
    return needs


def levels(needs: dict[str, set[str]]) -> list[set[str]]:
    """Names by how long the longest chain of what they need is; what needs itself, by whatever way, stands in none."""
    found: list[set[str]] = []
    rest = dict(needs)
    while bottom := {name for name, others in rest.items() if not others & rest.keys()}:
        found.append(bottom)
        rest = {name: others for name, others in rest.items() if name not in bottom}
    return found


def module_imports() -> dict[str, set[str]]:
    """What each module of the product imports of the others while it is imported itself.

    The packages above a name are not counted: an `__init__` that is half imported gives its submodules already.
    """
    names = {_module_name(part, path): path for part, path in MODULES}
    return {
        name: {_deepest(one, names) for one in _named(path)} & names.keys() - {name} for name, path in names.items()
    }


def _named(path: Path) -> Iterator[tuple[str, ...]]:
    """For each name that is imported, the modules that may be meant, the likeliest first."""
    for node in at_import_time(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.module) for alias in node.names)


def _deepest(meant: tuple[str, ...], names: dict[str, Path]) -> str:
    return next((name for name in meant if name in names), "")


def _module_name(part: str, path: Path) -> str:
    parts = path.relative_to(PARTS[part]).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def code_lines(path: Path) -> int:
    """The lines of a file that are neither blank, comment nor docstring."""
    documented: set[int] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            documented.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return sum(1 for at, line in lines if line.strip() and not line.strip().startswith("#") and at not in documented)
