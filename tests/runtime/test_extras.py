"""A missing extra is named with the line that installs it, from where thinkport was installed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.extras import install_line, installs_here, require

CLONE = Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Record another source of thinkport, as pip does: what `direct_url.json` holds, or None for an index."""

    def install(source: dict[str, Any] | None, needs: str = "") -> None:
        info = tmp_path / "thinkport-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: thinkport\nVersion: 0.1.0\n{needs}", encoding="utf-8"
        )
        if source is not None:
            (info / "direct_url.json").write_text(json.dumps(source), encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def test_a_missing_module_is_named_with_the_install_line(installed: Any) -> None:
    installed(None)
    with pytest.raises(MissingExtraError) as caught:
        require("export", "json", "no_such_module", "nor_this_one")
    assert str(caught.value) == 'no_such_module, nor_this_one not installed: run pip install "thinkport[export,cpu]"'
    assert caught.value.exit_code == 4


def test_an_extra_that_needs_no_other_is_installed_alone(installed: Any) -> None:
    installed(None)
    assert install_line("genai") == 'pip install "thinkport[genai]"'


def test_a_clone_installs_an_extra_from_the_clone(installed: Any) -> None:
    installed({"url": CLONE.as_uri(), "dir_info": {"editable": True}})
    assert install_line("cpu") == f'pip install -e "{CLONE}[cpu]"'


def test_a_folder_or_a_wheel_installs_an_extra_from_there(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "with space" / "thinkport-0.1.0-py3-none-any.whl"
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_line("export") == f'pip install "{wheel}[export,cpu]"'


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            {"url": "https://git.example/thinkport", "vcs_info": {"vcs": "git", "commit_id": "a1b2"}},
            'pip install "thinkport[cpu] @ git+https://git.example/thinkport@a1b2"',
        ),
        (
            {"url": "https://files.example/thinkport.whl", "archive_info": {}},
            'pip install "thinkport[cpu] @ https://files.example/thinkport.whl"',
        ),
    ],
)
def test_a_repository_or_an_address_installs_an_extra_from_there(
    installed: Any, source: dict[str, Any], line: str
) -> None:
    installed(source)
    assert install_line("cpu") == line


def test_the_way_around_the_cuda_build_is_told_where_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not (Path(entry or ".") / "torch").is_dir()])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(MissingExtraError, match=r"first install torch==2\.13\.0 from PyTorch's CPU index"):
        require("export", "torch")


def test_present_modules_pass_and_are_not_imported() -> None:
    sys.modules.pop("this", None)
    require("export", "this", "json")
    assert "this" not in sys.modules


def test_an_extra_for_other_systems_brings_nothing_here(installed: Any) -> None:
    here, elsewhere = f'sys_platform == "{sys.platform}"', 'sys_platform == "elsewhere"'
    needs = [
        f'one; {here} and extra == "cuda"',
        f'two; {elsewhere} and extra == "dml"',
        'three; extra == "cpu"',
        "four",
    ]
    installed(None, "".join(f"Requires-Dist: {line}\n" for line in needs))
    extras = ("cuda", "dml", "cpu", "unheard-of")
    assert [installs_here(extra) for extra in extras] == [True, False, True, True]
