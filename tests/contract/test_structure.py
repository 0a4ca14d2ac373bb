"""The shape of the whole: folders that can be taken in, imports without circles, one meaning a name.

`pytest -rP tests/contract/test_structure.py` prints the figures.
"""

import ast
from collections import Counter, defaultdict

import pytest
from tests.contract.source_tree import MODULES, PARTS, ROOT, code_lines, levels, module_imports, room_imports, tree_of

MOST_FILES = 25  # of a folder
MOST_LEVELS = {"export": 15, "deploy": 4, "runtime": 16}  # of folders, and of files beside them


def test_no_folder_holds_more_files_than_a_reader_takes_in() -> None:
    sizes = {part: sum(code_lines(path) for of, path in MODULES if of == part) for part in PARTS}
    print(
        f"code lines: {', '.join(f'{part} {size:,}' for part, size in sizes.items())}; {sum(sizes.values()):,} in all"
    )
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for _, path in MODULES)
    print(f"files a folder: {', '.join(f'{folder} {count}' for folder, count in counts.most_common(5))} …")
    assert [folder for folder, count in counts.items() if count > MOST_FILES] == []


@pytest.mark.parametrize("part", PARTS)
def test_imports_between_folders_are_few_levels_deep(part: str) -> None:
    found = levels(room_imports(part))
    for at, names in enumerate(found):
        print(f"{part}, level {at}: {', '.join(sorted(names))}")
    assert len(found) <= MOST_LEVELS[part]


def test_no_module_imports_itself_by_way_of_others() -> None:
    needs = module_imports()
    found = levels(needs)
    print(f"{len(needs)} modules on {len(found)} levels")
    assert needs.keys() == set().union(*found)


def test_the_search_for_circles_finds_one() -> None:
    assert levels({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [{"d"}]


def test_a_class_name_has_one_meaning() -> None:
    """A private name may stand for something else in another part, where nobody can mean the first; a public never."""
    places = defaultdict(list)
    for part, path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                where = f"{part} " if node.name.startswith("_") else ""
                places[f"{where}{node.name}"].append(path.relative_to(ROOT).as_posix())
    print(f"{len(places)} class names")
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_the_runtimes_tests_lie_where_its_code_does() -> None:
    folders = {path.name for path in (ROOT / "tests" / "runtime").iterdir() if any(path.glob("test_*.py"))}
    assert folders <= set(room_imports("runtime"))
