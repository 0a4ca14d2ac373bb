"""What PyInstaller is told."""

from pathlib import Path

import pytest

from thinkport.deploy.sidecar.build import pyinstaller_options


def test_kernels_travel_where_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("thinkport.deploy.sidecar.build.KERNELS", "made_up_kernels")
    assert "made_up_kernels" not in pyinstaller_options()
    (tmp_path / "made_up_kernels").mkdir()
    (tmp_path / "made_up_kernels" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    options = pyinstaller_options()
    assert options[options.index("made_up_kernels") - 1] == "--collect-all"
