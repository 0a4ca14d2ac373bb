"""What the page is built with: which Node, and whether its packages are there."""

import json
from pathlib import Path

import pytest
from tests.web.workspace import WEB, page_builder


def test_the_range_of_node_is_that_of_the_locked_vite() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = page_builder().NODE
    assert lock["node_modules/vite"]["engines"]["node"] == wanted
    assert json.loads((WEB / "package.json").read_text(encoding="utf-8"))["engines"]["node"] == wanted


@pytest.mark.parametrize(
    ("version", "suits"),
    [
        ((18, 20, 8), False),
        ((20, 18, 9), False),
        ((20, 19, 0), True),
        ((21, 7, 3), False),
        ((22, 11, 0), False),
        ((22, 12, 0), True),
        ((23, 0, 0), True),
        ((24, 1, 0), True),
        ((0,), False),
    ],
)
def test_a_node_that_vite_refuses_is_not_taken(version: tuple[int, ...], suits: bool) -> None:
    assert page_builder().suits(version) is suits


def workspace(folder: Path, *, installed: dict[str, str] | None) -> Path:
    """A workspace whose parts want two packages each; `installed` are names with versions, in npm's own record."""
    packages: dict[str, dict[str, object]] = {
        f"node_modules/{name}": {"version": "1.0.0"}
        for name in ("vite", "preact", "onnxruntime-node", "deeper", "preact/node_modules/deeper")
    }
    packages["node_modules/preact"]["dependencies"] = {"deeper": "1.0.0"}
    parts = {
        "": {"devDependencies": {"vite": "1.0.0"}},
        "app": {"dependencies": {"preact": "1.0.0"}},
        "engine": {"devDependencies": {"onnxruntime-node": "1.0.0"}},
    }
    (folder / "node_modules").mkdir()
    (folder / "package-lock.json").write_text(json.dumps({"packages": parts | packages}))
    if installed is not None:
        record = {f"node_modules/{name}": {"version": version} for name, version in installed.items()}
        (folder / "node_modules" / ".package-lock.json").write_text(json.dumps({"packages": record}))
    return folder


OF_THE_PAGE = {"vite": "1.0.0", "preact": "1.0.0", "deeper": "1.0.0", "preact/node_modules/deeper": "1.0.0"}


@pytest.mark.parametrize(
    ("installed", "page", "engine"),
    [
        (None, False, False),
        (OF_THE_PAGE, True, False),
        (OF_THE_PAGE | {"onnxruntime-node": "1.0.0"}, True, True),
        (OF_THE_PAGE | {"deeper": "0.9.0"}, False, False),
        ({"vite": "1.0.0", "preact": "1.0.0", "deeper": "1.0.0"}, False, False),
        ({"vite": "1.0.0", "onnxruntime-node": "1.0.0"}, False, True),
    ],
)
def test_packages_are_installed_again_only_where_they_are_not_what_the_lock_says(
    tmp_path: Path, installed: dict[str, str] | None, page: bool, engine: bool
) -> None:
    web = workspace(tmp_path, installed=installed)
    builder = page_builder()
    assert builder.is_installed("app", web=web) is page
    assert builder.is_installed("engine", web=web) is engine


def test_the_licence_of_every_library_of_the_page_is_told_with_its_text() -> None:
    wanted = json.loads((WEB / "app" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    missing = [name for name in wanted if not (WEB / "node_modules" / name).is_dir()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (npm ci in deploy/web)")
    texts = page_builder().licenses().split("-" * 80)
    for name, version in wanted.items():
        (text,) = [one for one in texts if one.strip().startswith(f"{name} {version} (")]
        assert len(text) > 500, name
