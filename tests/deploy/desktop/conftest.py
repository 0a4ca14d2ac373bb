"""A screen that nobody sees."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from thinkport.deploy.desktop.run import check_web_view
from thinkport.runtime import MissingExtraError
from thinkport.runtime.server.interface.page import is_built

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """The name of an X display of Xvfb's own, for this run."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("Xvfb is not installed: apt-get install xvfb")
    pytest.importorskip("webview", reason="pywebview is not installed")
    if not is_built():
        pytest.skip("the chat page is not built: python deploy/web/build.py")
    try:
        check_web_view()
    except MissingExtraError as error:
        pytest.skip(str(error))
    reading, writing = os.pipe()
    command = [xvfb, "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        yield f":{pipe.readline().strip()}"
    server.terminate()
    server.wait(120)
