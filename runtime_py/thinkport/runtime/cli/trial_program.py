"""What the processes run that trials are made of: `try-graphs [ARTIFACT [GRAPH SECONDS]]`, a verb without help.

Alone it prints what plugins and devices there are, a line of JSON. With an artifact it runs its trials, each in a
process; with a graph that graph's own trial, and prints the result, a line of JSON. `try-graphs --kernels LIBRARY
[SET]` loads a library of kernels, or tries one of its kernel sets, and prints what is wrong with it. A verb, since a
frozen program can start nothing but itself.
"""

import faulthandler
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.providers.graph_trial import try_graph
from thinkport.runtime.providers.kernels import TRIAL, kernel_fault
from thinkport.runtime.providers.ort import build_of, import_onnxruntime
from thinkport.runtime.providers.plugin_look import FACTS, LOOK_SECONDS
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.trials import Trials, run_in_child

_GRACE = 5.0  # seconds that whoever waits for a trial has to end it


def end_after(seconds: float) -> None:
    """End this process after that time, even within a call into a driver: who began it may be gone by then."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=Path(os.devnull).open("w"))  # noqa: SIM115 - stays open


def run(arguments: Sequence[str]) -> None:
    """Look at plugins, try kernels, run trials, or run one."""
    if not arguments:
        end_after(LOOK_SECONDS + _GRACE)
        sys.stdout.write(FACTS.dump_json(Plugins(import_onnxruntime()).facts()).decode() + "\n")
        return
    if arguments[0] == TRIAL:
        sys.stdout.write(json.dumps(kernel_fault(Path(arguments[1]), *arguments[2:])) + "\n")
        return
    folder = Path(arguments[0])
    if len(arguments) > 1:
        end_after(float(arguments[2]) + _GRACE)
        sys.stdout.write(json.dumps(asdict(try_graph(folder, arguments[1]))) + "\n")
        return
    manifest, ort = read_manifest(folder), import_onnxruntime()
    trials = Trials.here(folder, manifest, build_of(ort), Plugins(ort))
    assert trials.command is not None, "it was started as this program"
    trials.run(run_in_child(trials.command, folder, manifest))
