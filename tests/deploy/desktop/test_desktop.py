"""The verb where there is no window to be had."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from thinkport.deploy.desktop import run
from thinkport.runtime import MissingExtraError
from thinkport.runtime.cli.main import main
from thinkport.runtime.extras import install_line


def test_without_pywebview_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: None if name == "webview" else found(name))
    with pytest.raises(MissingExtraError, match=f"webview not installed: run {re.escape(install_line('desktop'))}"):
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


@pytest.mark.skipif("sys.platform != 'linux'", reason="other systems have a web view of their own")
def test_a_library_that_the_system_lacks_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: object())

    def linking(name: str) -> None:
        raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")

    widgets = ModuleType("PySide6.QtWebEngineWidgets")
    monkeypatch.setattr(widgets, "__getattr__", linking, raising=False)
    monkeypatch.setitem(sys.modules, "PySide6", ModuleType("PySide6"))
    monkeypatch.setitem(sys.modules, "PySide6.QtWebEngineWidgets", widgets)
    with pytest.raises(MissingExtraError, match=r"needs libEGL\.so\.1, .* libegl1"):
        run(provider="cpu", state=tmp_path)


@pytest.mark.skipif("sys.platform != 'linux'", reason="other systems have a web view of their own")
def test_a_library_that_qt_would_end_the_program_for_is_named_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: object())
    (tmp_path / "platforms").mkdir()
    (tmp_path / "platforms" / "libqxcb.so").write_bytes(b"no library")  # the linker names what it can't take
    core, widgets = ModuleType("PySide6.QtCore"), ModuleType("PySide6.QtWebEngineWidgets")
    core.QLibraryInfo = SimpleNamespace(  # type: ignore[attr-defined]
        path=lambda _: str(tmp_path), LibraryPath=SimpleNamespace(PluginsPath=0)
    )
    widgets.QWebEngineView = object  # type: ignore[attr-defined]
    package = ModuleType("PySide6")
    package.QtCore = core  # type: ignore[attr-defined]
    for module in (package, core, widgets):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(MissingExtraError, match=r"needs .*libqxcb\.so, .* libxcb-cursor0"):
        run(provider="cpu", state=tmp_path)


@pytest.mark.skipif("sys.platform != 'linux'", reason="other systems have a web view of their own")
def test_without_qts_web_view_the_install_line_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr("thinkport.runtime.extras.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "PySide6", None)
    with pytest.raises(MissingExtraError, match=f"not installed: run {re.escape(install_line('desktop'))}"):
        run(provider="cpu", state=tmp_path)
