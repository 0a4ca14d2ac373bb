"""The window under a screen that nobody sees, driven through its web view's own protocol."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from tests.deploy.desktop.devtools import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long
PROGRAM = "from thinkport.runtime.cli.main import main; main()"
ANSWER = "document.querySelector('.reply[aria-busy=false] .answer')?.innerText.trim()"


@contextmanager
def sitting(screen: str, state: Path, *arguments: str) -> Iterator[Page]:
    """The program with a state folder of its own, entered through the port that Qt's web view debugs itself on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "DISPLAY": screen,
        "QT_QPA_PLATFORM": "xcb",
        "QTWEBENGINE_REMOTE_DEBUGGING": str(port),
        "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu",  # a test may run as root
        "XDG_STATE_HOME": str(state),
        "ORT_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-c", PROGRAM, "desktop", *arguments, "--provider", "cpu"]
    log = state / "window.log"
    with log.open("w") as told, subprocess.Popen(command, env=environment, stdout=told, stderr=told) as program:
        try:
            page = Page(debugger(port, program, log))
            yield page
            page.close()
        finally:
            program.terminate()
            with suppress(subprocess.TimeoutExpired):
                program.wait(60)
            program.kill()


def debugger(port: int, program: subprocess.Popen[bytes], log: Path) -> str:
    """The address of the page's protocol, once the page is there."""
    until = monotonic() + 180
    while monotonic() < until and program.poll() is None:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
            for page in json.load(answer):
                if page["url"].endswith("/?window"):
                    return str(page["webSocketDebuggerUrl"])
        sleep(0.2)
    raise AssertionError(f"no window came: {log.read_text()[-2000:]}")


def pictures(state: Path) -> Path:
    return Path(os.environ.get("THINKPORT_SCREENSHOTS") or state)


def test_an_artifact_of_the_command_line_is_opened_and_a_conversation_outlives_the_window(
    screen: str, nano_artifact: Path, tmp_path: Path
) -> None:
    with sitting(screen, tmp_path, str(nano_artifact)) as page:
        page.wait("document.querySelector('.top .where')?.innerText.includes('CPU')")
        page.write("What is 86*57?")
        assert page.wait(ANSWER) == "4902"
        page.picture(pictures(tmp_path) / "window-answered.png")
        assert "enter" not in page.run("location.href")
        assert page.run("document.cookie") == ""
        page.wait(
            "fetch('/window/conversations').then(one => one.json()).then(all => all[0]?.messages[1]?.state == 'done')"
        )
    with sitting(screen, tmp_path) as page:
        page.wait("document.querySelector('h1')?.innerText == 'Open an artifact'")
        page.picture(pictures(tmp_path) / "window-start.png")
        page.press(nano_artifact.name)
        page.press("What is 86*57?")
        assert page.wait(ANSWER) == "4902"


def test_a_folder_that_is_no_artifact_is_told(screen: str, tmp_path: Path) -> None:
    with sitting(screen, tmp_path, str(tmp_path)) as page:
        assert "thinkport.json" in page.wait("document.querySelector('[role=alert]')?.innerText")
        page.picture(pictures(tmp_path) / "window-wrong.png")
