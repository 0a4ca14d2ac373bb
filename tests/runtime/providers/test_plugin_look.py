"""A look at plugins goes on where a driver crashes, hangs, or says what nobody understands."""

import json
import sys
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.providers.plugin_look import look
from thinkport.runtime.providers.plugin_provider import PluginProvider
from thinkport.runtime.providers.plugins import PLUGINS, PluginFacts, Plugins

ENTRY = replace(PLUGINS[0], distribution="numpy")  # installed wherever the tests run
ORT = SimpleNamespace(__version__="0.0", package_name="onnxruntime")  # no plugin fits


def plugins(entry: PluginProvider = ENTRY, **changes: dict[str, str]) -> Plugins:
    return Plugins(ORT, [entry], **changes)  # type: ignore[arg-type]


def seen(source: str) -> PluginFacts:
    """What a look finds whose process runs `source`."""
    (found,) = look(plugins(), [sys.executable, "-c", source], seconds=5)
    return found


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import os; os.write(2, b'driver fault'); os.abort()", "driver fault"),
        ("import time; time.sleep(60)", "did not end in 5 seconds"),
        ("print('hello')", "told nothing"),
    ],
)
def test_a_driver_that_crashes_or_hangs_is_a_fact(source: str, why: str) -> None:
    found = seen(source)
    assert found.ended
    assert why in str(found.needs)
    assert str(found.needs).endswith(": install or update the graphics card's driver")


def test_what_the_other_process_saw_is_what_this_one_says() -> None:
    facts = replace(plugins().listed()[0], needs="finds no device", loaded=True)
    assert seen(f"print({json.dumps([asdict(facts)])!r}); print('goodbye')") == facts


def test_no_process_looks_for_a_plugin_that_is_not_installed() -> None:
    (found,) = look(plugins(replace(ENTRY, distribution="no-such-plugin")), ["no such program"])
    assert "which is not installed" in str(found.needs)


def test_a_plugin_that_ended_a_process_is_not_loaded_into_this_one() -> None:
    with pytest.raises(InputError, match="driver fault"):
        plugins(unusable={ENTRY.provider: "driver fault"}).devices(ENTRY.provider)
