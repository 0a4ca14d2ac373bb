"""The package's imports leave Python's collector of garbage as they found it, and don't wait for it."""

import subprocess
import sys

import pytest

COUNTED = """
import gc

seen = []
gc.callbacks.append(lambda phase, facts: seen.append(facts["generation"]) if phase == "start" else None)
{before}
import thinkport.runtime
print(gc.isenabled(), gc.get_freeze_count() > 0, len(seen) < 5)
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", "True False True"),
        ("gc.disable()", "False False True"),
        ("gc.freeze()", "True True True"),
    ],
)
def test_imports_are_not_searched_for_garbage(before: str, said: str) -> None:
    source = COUNTED.format(before=before)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
