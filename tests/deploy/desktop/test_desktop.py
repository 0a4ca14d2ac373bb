"""The verb where there is no window to be had, and the figures that grow with a reply."""

import ctypes
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from thinkport.deploy.desktop import run
from thinkport.deploy.desktop.live_figures import LiveFigures
from thinkport.runtime import AnswerPiece, MissingExtraError, ThoughtPiece
from thinkport.runtime.cli.main import main
from thinkport.runtime.extras import install_line


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_each_part_of_a_reply_has_its_own_tokens_and_speed() -> None:
    clock = Clock()
    figures, lines = LiveFigures(clock), []
    pieces: list[tuple[float, ThoughtPiece | AnswerPiece]] = [
        (1.0, ThoughtPiece(text="a", tokens=1)),
        (2.0, ThoughtPiece(text="b", tokens=11)),
        (5.0, AnswerPiece(text="c", tokens=1)),
        (5.5, AnswerPiece(text="d", tokens=2)),
    ]
    for seconds, piece in pieces:
        clock.seconds = seconds
        lines.append(figures.line(piece))
    assert lines == [
        "Thinking · 1 token",
        "Thinking · 11 tokens · 10.0 tokens/s",
        "Answering · 1 token",
        "Answering · 2 tokens · 2.0 tokens/s",
    ]


def test_without_pyside6_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: None if name == "PySide6" else found(name))
    with pytest.raises(MissingExtraError, match=f"PySide6 not installed: run {re.escape(install_line('desktop'))}"):
        run(provider="cpu", state=tmp_path)


@pytest.mark.skipif("sys.platform != 'linux'", reason="other systems always have a screen")
def test_without_a_screen_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.argv", ["thinkport", "desktop"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no screen to open a window on" in capsys.readouterr().err


@pytest.mark.skipif("sys.platform != 'linux'", reason="PySide6 brings all that it needs on other systems")
def test_a_library_that_the_system_lacks_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    for name in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: object())
    plugin = tmp_path / "platforms" / "libqxcb.so"
    plugin.parent.mkdir()
    plugin.touch()
    info = SimpleNamespace(path=lambda which: str(tmp_path), LibraryPath=SimpleNamespace(PluginsPath=0))
    monkeypatch.setitem(sys.modules, "PySide6.QtCore", SimpleNamespace(QLibraryInfo=info))
    monkeypatch.setitem(sys.modules, "PySide6.QtWidgets", SimpleNamespace(QApplication=None))

    def dlopen(path: str) -> None:
        assert path == str(plugin)
        raise OSError("libxcb-cursor.so.0: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", dlopen)
    with pytest.raises(MissingExtraError, match=r"needs libxcb-cursor\.so\.0, .* apt install libxcb-cursor0"):
        run(provider="cpu", state=tmp_path)

    def linking(name: str) -> None:
        raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")

    widgets = ModuleType("PySide6.QtWidgets")
    monkeypatch.setattr(widgets, "__getattr__", linking, raising=False)
    monkeypatch.setitem(sys.modules, "PySide6.QtWidgets", widgets)
    with pytest.raises(MissingExtraError, match=r"needs libEGL\.so\.1, .* libegl1"):
        run(provider="cpu", state=tmp_path)
