"""The package of kernels as the runtime finds, tries, remembers and refuses it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from compile_library import SETS
from thinkport.runtime.cli.cli_options import KernelSet
from thinkport.runtime.errors import InputError
from thinkport.runtime.providers.kernels import OPERATORS, TRIAL, Kernels, kernel_fault, kernel_sets
from thinkport.runtime.providers.program import program
from thinkport.runtime.providers.verdicts import Verdicts


class Process:
    """A trial that ends with a code and some words."""

    def __init__(self, code: int, out: str, said: str = "") -> None:
        self.returncode, self._words = code, (out, said)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        return self._words

    def kill(self) -> None: ...


class Begin:
    """Begins trials that end as told, and counts them."""

    def __init__(self, code: int = 0, out: str = "null\n", said: str = "") -> None:
        self.begun: list[Sequence[str]] = []
        self._end = (code, out, said)

    def __call__(self, command: Sequence[str], *, heard: bool = False) -> subprocess.Popen[str]:
        self.begun.append(command)
        return cast("Any", Process(*self._end))


@pytest.fixture
def installed(library: Path, tmp_path: Path) -> Kernels:
    return Kernels(
        library=library, operators=OPERATORS, verdicts=Verdicts(tmp_path), command=["program"], begin=Begin()
    )


def again(kernels: Kernels, begin: Begin) -> Kernels:
    """The same in another process, whose trials end otherwise."""
    return replace(kernels, begin=begin)


def test_a_library_that_is_right_is_tried_once(installed: Kernels, sets: list[str]) -> None:
    assert installed.obstacle is None
    assert list(installed.sets) == sets
    assert installed.name == sets[0]
    later = Begin(code=-4)
    assert again(installed, later).obstacle is None
    assert later.begun == []


def test_a_library_that_takes_its_trial_down_is_not_loaded(installed: Kernels) -> None:
    crash = Begin(code=-4, out="", said="illegal instruction")
    crashing = again(installed, crash)
    assert "its trial was ended by SIGILL: illegal instruction" in str(crashing.obstacle)
    assert "thinkport doctor" in str(crashing.obstacle)
    later = Begin()
    assert "its trial was ended by SIGILL" in str(again(installed, later).obstacle)
    assert later.begun == []
    crashing.forget()
    assert again(installed, later).obstacle is None
    assert len(later.begun) == 2, "the library, and its best kernel set"


def faulty(names: Sequence[str], code: int = 0) -> Callable[..., subprocess.Popen[str]]:
    """Trials of these kernel sets compute wrongly, or end with a code."""

    def begin(command: Sequence[str], *, heard: bool = False) -> subprocess.Popen[str]:
        wrong = command[-1] in names
        said = json.dumps(f"its kernel set {command[-1]} computes wrongly" if wrong else None)
        return cast("Any", Process(code if wrong else 0, said + "\n"))

    return begin


@pytest.mark.parametrize("code", [0, -4])
def test_where_a_kernel_set_is_wrong_the_next_one_runs(
    installed: Kernels, sets: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinkport.runtime.providers.kernels.kernel_sets", lambda _: ("newest", *sets))
    found = replace(installed, begin=faulty(["newest"], code))
    assert (found.obstacle, found.name) == (None, sets[0])
    later = replace(installed, begin=Begin(code=-9))
    assert (later.obstacle, later.name) == (None, sets[0]), "it is remembered"
    assert "kernel set newest " in str(replace(installed, asked="newest").obstacle)
    later.forget()
    assert replace(installed).name == "newest"


def test_a_library_whose_kernel_sets_are_all_wrong_is_not_used(installed: Kernels, sets: list[str]) -> None:
    found = replace(installed, begin=faulty(sets))
    assert all(f"kernel set {name} computes wrongly" in str(found.obstacle) for name in sets[:-1])
    assert "scalar" not in str(found.obstacle), "it would be slower than ONNX Runtime's own"


def test_real_trials_say_that_the_library_and_its_sets_are_right(library: Path, sets: list[str]) -> None:
    for name in ((), *((name,) for name in sets)):
        command = [*(program() or []), "try-graphs", TRIAL, str(library), *name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) is None
        assert kernel_fault(library, *name) is None
    assert str(kernel_fault(library, "none")).startswith("its kernel set none can't run: ")


def test_a_file_that_is_no_library_is_said_so(tmp_path: Path) -> None:
    broken = tmp_path / "libthinkport_kernels.so"
    broken.write_bytes(b"no library")
    kernels = Kernels(library=broken, operators=OPERATORS, verdicts=Verdicts(tmp_path / "v"), command=program())
    assert "it can't be loaded" in str(kernels.obstacle)


def test_a_library_of_traps_ends_its_trial_and_not_this_process(library: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the library's form is Linux's")
    content = bytearray(library.read_bytes())
    shdr = int.from_bytes(content[40:48], "little")  # of ELF, 64-bit: where its sections are listed
    for at in range(shdr, len(content) - 63, 64):
        flags, start, size = (int.from_bytes(content[at + n : at + n + 8], "little") for n in (8, 24, 32))
        if flags & 4:  # instructions
            content[start : start + size] = b"\xcc" * size  # x86's breakpoint; on ARM no instruction
    broken = tmp_path / library.name
    broken.write_bytes(content)
    kernels = Kernels(library=broken, operators=OPERATORS, verdicts=Verdicts(tmp_path / "v"), command=program())
    assert "its trial was ended by SIG" in str(kernels.obstacle)
    assert kernels.useless
    kernels.forget()  # as the doctor does, and it finds the same again
    assert "its trial was ended by SIG" in str(replace(kernels).obstacle)


def test_where_no_process_can_be_begun_it_is_tried_here(installed: Kernels, tmp_path: Path) -> None:
    def refused(command: Sequence[str], *, heard: bool = False) -> subprocess.Popen[str]:
        raise OSError("Exec format error")

    assert replace(installed, begin=refused).obstacle is None
    broken = tmp_path / "libthinkport_kernels.so"
    broken.write_bytes(b"no library")
    assert "it can't be loaded" in str(replace(installed, library=broken, begin=refused).obstacle)


def test_without_a_program_to_start_it_is_tried_here(installed: Kernels) -> None:
    assert replace(installed, command=None).obstacle is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"library": None}, "needs the package thinkport-kernels: pip install ./runtime_py/kernels"),
        ({"operators": OPERATORS + 1}, f"with operators {OPERATORS}, and {OPERATORS + 1} are installed"),
        ({"library": Path("/nowhere/libthinkport_kernels.so")}, "is missing"),
        ({"asked": "off"}, "switched off"),
    ],
)
def test_what_is_missing_is_said(installed: Kernels, change: dict[str, Any], says: str) -> None:
    assert says in str(replace(installed, **change).obstacle)


def test_a_set_that_is_not_there_is_refused(
    library: Path, sets: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "thinkport_kernels", None)
    with pytest.raises(InputError, match="kernels 'avx2' can't be had here: needs the package"):
        Kernels.here("avx2")
    package = type(sys)("thinkport_kernels")
    package.LIBRARY, package.OPERATORS = library, OPERATORS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thinkport_kernels", package)
    with pytest.raises(InputError, match=r"this CPU runs .*scalar; off takes ONNX Runtime's own"):
        Kernels.here("avx1")
    for lacking in {name.removeprefix("set_") for names in SETS.values() for name in names} - set(sets):
        with pytest.raises(InputError, match=f"kernels '{lacking}' can't be had here: this CPU runs"):
            Kernels.here(lacking)
    assert Kernels.here(sets[0]).name == sets[0]
    assert kernel_sets(library)[-1] == "scalar"


def test_help_and_page_name_every_set() -> None:
    page = (Path(__file__).parents[2] / "deploy" / "docs" / "kernels.md").read_text(encoding="utf-8")
    names = {name.removeprefix("set_") for sets in SETS.values() for name in sets} | {"scalar"}
    told = set(re.findall(r"\w+", get_args(KernelSet)[1].help))
    assert names - told == set()
    assert names - set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set()
