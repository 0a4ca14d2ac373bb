"""A screen that nobody sees, where the window can be shown on it."""

import pytest

from thinkport.deploy.desktop.run import check_web_view
from thinkport.runtime import MissingExtraError
from thinkport.runtime.server.interface.page import is_built


@pytest.fixture(scope="session")
def screen(request: pytest.FixtureRequest) -> str:
    """The name of an X display of its own, for this run."""
    pytest.importorskip("webview", reason="pywebview is not installed")
    if not is_built():
        pytest.skip("the chat page is not built: python deploy/web/build.py")
    try:
        check_web_view()
    except MissingExtraError as error:
        pytest.skip(str(error))
    name: str = request.getfixturevalue("display")
    return name
