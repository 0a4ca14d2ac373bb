"""Real browsers that nobody sees, as Debian has them: Chromium and Firefox by Playwright, WebKitGTK by WebDriver."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = {"chromium": ("chromium", "google-chrome"), "firefox": ("firefox-esr", "firefox")}
PACKAGES = {"chromium": "chromium", "firefox": "firefox-esr"}
ELSEWHERE = "site.test"  # an address that leads to this machine and that browsers don't take for its own
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LACKING = "emulation.setMediaFeaturesOverride"  # Playwright from 1.65 on sends it, Firefox 153 doesn't know it
IN_EACH = pytest.mark.parametrize("browser", list(PROGRAMS), indirect=True)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Chromium; another one, or flags of its own behind its name, where a test asks for them."""
    name, *flags = getattr(request, "param", "chromium").split()
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, PROGRAMS[name])), None)
    if program is None:
        pytest.skip(f"no {name} on this machine: apt-get install {PACKAGES[name]}")
    with playwright.sync_playwright() as driver:
        if name == "firefox":
            preferences = {"network.dns.localDomains": ELSEWHERE}
            started = driver.firefox.launch(
                channel="moz-firefox", executable_path=program, firefox_user_prefs=preferences
            )
            try:
                started.new_context().close()
            except playwright.Error as error:
                started.close()
                if LACKING not in str(error):
                    raise
                pytest.skip(f"this Playwright is too new for Firefox {started.version}: pip install playwright==1.64.1")
        else:
            mapped = f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"
            started = driver.chromium.launch(executable_path=program, args=[*QUIET, mapped, *flags])
        yield started
        started.close()


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The name of an X display of Xvfb's own, for this run."""
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("Xvfb is not installed: apt-get install xvfb")
    reading, writing = os.pipe()
    command = [xvfb, "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        yield f":{pipe.readline().strip()}"
    server.terminate()
    server.wait(120)


@pytest.fixture(scope="module")
def webkit(request: pytest.FixtureRequest) -> Iterator[Any]:
    """WebKitGTK's own small browser, driven by Selenium; driven ones keep nothing, as private windows."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver = shutil.which("WebKitWebDriver")
    program = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
    if driver is None or program is None:
        pytest.skip("no WebKitGTK on this machine: apt-get install webkit2gtk-driver")
    options = selenium.WebKitGTKOptions()
    options.binary_location = str(program)
    options.add_argument("--automation")
    environment = os.environ | {"DISPLAY": request.getfixturevalue("display")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what Selenium calls of itself
        started = selenium.WebKitGTK(options=options, service=selenium.WebKitGTKService(driver, env=environment))
    yield started
    started.quit()
