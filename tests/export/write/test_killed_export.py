"""A real export killed at random moments: the target holds the old artifact or nothing, and the next run cleans up."""

import subprocess
import sys
from pathlib import Path

import pytest

from thinkport.export.errors import OutputError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime.artifact.manifest import check_files, read_manifest

# One export is forked behind its trace, which takes nearly all of its time, and every copy is killed while it writes.
KILLS_ITS_COPIES = """
import os, random, shutil, signal, sys, time
from pathlib import Path
from thinkport.export.exporter import export
from thinkport.export.progress import Listener
from thinkport.export.settings import ExportSettings
from thinkport.export.write.staging import clear_leftovers
from thinkport.runtime.artifact.manifest import check_files, read_manifest

checkpoint, old, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

class Forks(Listener):
    def start(self, stage, total):
        if stage != "fuse":
            return
        for number in range(8):
            clear_leftovers(output)
            shutil.rmtree(output, ignore_errors=True)
            if number % 2:
                shutil.copytree(old, output)
            child = os.fork()
            if not child:
                return
            self.kill(child)
            if output.exists():
                check_files(output, read_manifest(output), verify=True)
        print(sorted(path.name for path in output.parent.iterdir()), flush=True)
        os._exit(0)

    def kill(self, child):
        staging, start = output.with_name(f".{output.name}.partial-{child}"), time.monotonic()
        while not staging.exists() and time.monotonic() < start + 20:
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

asked = {"recipe": "fast", "targets": ("cpu",), "certificate": False}  # few graphs to fuse before any file is written
export(ExportSettings(checkpoint=checkpoint, output=output, force=True, **asked), Forks())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX systems")
def test_a_killed_export_leaves_the_old_artifact_or_nothing(
    nano_checkpoint: Path, nano_artifact: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "artifact"
    output.parent.mkdir()
    command = [sys.executable, "-c", KILLS_ITS_COPIES, str(nano_checkpoint), str(nano_artifact), str(output)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "artifact" in ended.stdout  # the old one, the new one, or one of them under its hidden name
    with pytest.raises(OutputError, match="exists: give --force"):  # a run that is refused cleans up all the same
        export(ExportSettings(checkpoint=str(nano_checkpoint), output=output))
    assert [path.name for path in output.parent.iterdir()] == ["artifact"]
    check_files(output, read_manifest(output), verify=True)
