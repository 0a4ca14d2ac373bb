"""What the processes run that trials are made of: `try-graphs ARTIFACT [GRAPH]`, a verb for programs, without help.

Without a graph it runs the trials of an artifact, each in a process; with one it runs that graph's own trial and prints
the result, a line of JSON. A verb, since a frozen program can start nothing but itself.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.providers.graph_trial import try_graph
from thinkport.runtime.providers.ort import build_of, import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.trials import Trials, run_in_child


def run(arguments: Sequence[str]) -> None:
    """Run trials, or one."""
    folder = Path(arguments[0])
    if len(arguments) > 1:
        sys.stdout.write(json.dumps(asdict(try_graph(folder, arguments[1]))) + "\n")
        return
    manifest, ort = read_manifest(folder), import_onnxruntime()
    trials = Trials.here(folder, manifest, build_of(ort), Plugins(ort))
    assert trials.command is not None, "it was started as this program"
    trials.run(run_in_child(trials.command, folder, manifest))
