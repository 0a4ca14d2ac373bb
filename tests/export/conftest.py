"""What all tests of the export share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def traced_once(one_trace: None) -> None:
    """Exports in this process trace a model once."""
