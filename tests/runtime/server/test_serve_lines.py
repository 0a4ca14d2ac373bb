"""What `thinkport serve` writes to a terminal while it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.providers.ort import Candidate, build_of, import_onnxruntime
from thinkport.runtime.providers.provider_choice import Machine, ProviderChoice
from thinkport.runtime.providers.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from pathlib import Path


def find_wrong(artifact: Path, cache: Path) -> None:
    """Let this machine remember that the artifact's first graph is wrong here."""
    manifest, verdicts = read_manifest(artifact), Verdicts(cache / "thinkport" / "verdicts")
    choice = ProviderChoice(artifact, manifest, Machine.here(build_of(import_onnxruntime())), lambda _: NotImplemented)
    verdicts.write(choice.key(Candidate(graph=manifest.graphs[0])), Verdict(trials=1, whole=True, fault="it is off"))


def test_what_was_passed_over_is_told_once(nano_artifact: Path, tmp_path: Path) -> None:
    find_wrong(nano_artifact, tmp_path)
    command = [sys.executable, "-c", "from thinkport.runtime.cli.main import main; main()", "serve", str(nano_artifact)]
    command += ["--port", "0", "--kernels", "off"]  # else the native graph, which nothing was found about
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "COLUMNS": "200"}
    lines = []
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            lines.append(line)
            if "Ctrl-C ends" in line:
                child.terminate()
    told = "".join(lines)
    print(told)
    assert "cpu-float32-kv.onnx on CPU" in lines[-1]
    assert told.count("it is off") == 1
