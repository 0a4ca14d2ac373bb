"""The plugins of this machine and their devices, looked at in a process of its own.

To list and to start devices loads drivers, which can crash and hang: whoever wants to know would go with them.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from pydantic import TypeAdapter

from thinkport.runtime.providers.plugins import PluginFacts, Plugins
from thinkport.runtime.providers.program import TRIAL_VERB, told

LOOK_SECONDS = 20.0
FACTS = TypeAdapter(tuple[PluginFacts, ...])
_CURE = "install or update the graphics card's driver"


def look(plugins: Plugins, command: Sequence[str] | None, seconds: float = LOOK_SECONDS) -> tuple[PluginFacts, ...]:
    """Every plugin's facts; `command` starts this program's verbs once more, None where only this process can look."""
    if command is None or not plugins.installed:
        return plugins.facts()
    out, fault = told([*command, TRIAL_VERB], seconds)
    if fault is None:
        for line in reversed(out.splitlines()):
            with suppress(ValueError):  # pydantic's error is one; a driver may have a word after the facts
                return FACTS.validate_json(line)
    why = f"can't be looked at: {fault or 'its process told nothing'}: {_CURE}"
    return tuple(
        facts if facts.version is None else replace(facts, needs=why, ended=True) for facts in plugins.listed()
    )
