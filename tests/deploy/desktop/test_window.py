"""The window under a screen that nobody sees, driven through its web view's own protocol (Chromium's DevTools)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long
PROGRAM = "from thinkport.runtime.cli.main import main; main()"


class Sitting:
    """A window that is open: its page, and its program."""

    def __init__(self, page: Any, program: subprocess.Popen[str], pictures: Path, screen: str):
        self.page, self.program, self._pictures, self._screen = page, program, pictures, screen

    def picture(self, name: str) -> None:
        """What the screen shows, where ImageMagick is there to look."""
        if program := shutil.which("import"):
            sleep(0.5)
            command = [program, "-display", self._screen, "-window", "root", str(self._pictures / f"{name}.png")]
            subprocess.run(command, check=False, capture_output=True)


@contextmanager
def sitting(screen: str, state: Path, *arguments: str) -> Iterator[Sitting]:
    """The program with a state folder of its own, entered through the port that Qt's web view debugs itself on."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "DISPLAY": screen,
        "QT_QPA_PLATFORM": "xcb",
        "QTWEBENGINE_REMOTE_DEBUGGING": str(port),
        "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu",  # a test runs as root
        "XDG_STATE_HOME": str(state),
        "ORT_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-c", PROGRAM, "desktop", *arguments, "--provider", "cpu"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as program:
        try:
            address = _debugger(port, program)
            with playwright.sync_playwright() as driver:
                browser = driver.chromium.connect_over_cdp(address)
                (page,) = (page for context in browser.contexts for page in context.pages)
                page.set_default_timeout(60_000)
                pictures = Path(os.environ.get("THINKPORT_SCREENSHOTS") or state)
                yield Sitting(page, program, pictures, screen)
        finally:
            program.terminate()
            with suppress(subprocess.TimeoutExpired):
                program.wait(60)
            program.kill()


def _debugger(port: int, program: subprocess.Popen[str]) -> str:
    """The address of the web view's protocol, once its page is there."""
    until = monotonic() + 120
    while monotonic() < until and program.poll() is None:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
            if any(one["type"] == "page" and "window" in one["url"] for one in json.load(answer)):
                return f"http://127.0.0.1:{port}"
        sleep(0.1)
    program.kill()
    raise AssertionError(program.stdout.read() if program.stdout else "no window came")


def ask(page: Any, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Message", exact=True).press("Enter")
    page.locator(".reply[aria-busy=false]").last.wait_for()


def test_an_artifact_of_the_command_line_is_opened_and_a_conversation_outlives_the_window(
    screen: str, nano_artifact: Path, tmp_path: Path
) -> None:
    with sitting(screen, tmp_path, str(nano_artifact)) as at:
        at.page.locator(".top .where").filter(has_text="cpu.onnx").wait_for()
        ask(at.page, "What is 86*57?")
        assert at.page.locator(".answer").inner_text().strip() == "4902"
        at.picture("window-answered")
        assert "enter" not in at.page.url
        assert at.page.evaluate("history.length") <= 2
        assert at.page.evaluate("document.cookie") == ""
    with sitting(screen, tmp_path) as at:
        at.page.get_by_role("heading", name="Open an artifact").wait_for()
        at.picture("window-start")
        at.page.get_by_role("button", name=str(nano_artifact)).click()
        at.page.get_by_role("button", name="What is 86*57?", exact=True).click()
        assert at.page.locator(".answer").inner_text().strip() == "4902"


def test_a_folder_that_is_no_artifact_is_told(screen: str, tmp_path: Path) -> None:
    with sitting(screen, tmp_path, str(tmp_path)) as at:
        at.page.get_by_role("alert").filter(has_text="thinkport.json").wait_for()
        at.picture("window-wrong")
