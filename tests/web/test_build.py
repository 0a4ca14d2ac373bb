"""Which Node the page is built with."""

import json

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
