"""The window under a screen that nobody sees: typed at, clicked at, looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = Path(__file__).with_name("session.py")


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("scene", ["conversation", "switches", "errors", "markdown"])
def test_a_sitting_at_the_window(scene: str, scheme: str, screen: str, nano_artifact: Path, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("THINKPORT_PICTURES") or tmp_path)
    command = [sys.executable, str(SESSION), scene, str(nano_artifact), str(pictures), scheme]
    environment = os.environ | {"DISPLAY": screen, "QT_QPA_PLATFORM": "xcb", "ORT_DISABLE_TELEMETRY": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    print(ended.stdout)
    assert list(pictures.glob(f"{scheme}-*.png"))
