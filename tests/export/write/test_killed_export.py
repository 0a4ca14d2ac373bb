"""A real export killed at random moments: the target holds the old artifact or nothing, and the next run cleans up."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thinkport.export.errors import ExportError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime.manifest import check_files, read_manifest

# One process imports everything and forks an export for each kill, since imports take longer than the export.
KILLS_ITS_CHILDREN = """
import json, os, random, signal, sys, time
from pathlib import Path
import thinkport.export.families.qwen3.wrapper
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
checkpoint, *outputs = sys.argv[1:]
for output in map(Path, outputs):
    child = os.fork()
    if not child:
        export(ExportSettings(checkpoint=checkpoint, output=output, certificate=False, force=True))
        os._exit(0)
    staging = output.with_name(f".{output.name}.partial-{child}")
    while not staging.exists() and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(json.dumps({"left": [path.name for path in output.parent.iterdir()]}), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a signal of POSIX systems")
def test_a_killed_export_leaves_the_old_artifact_or_nothing(
    nano_checkpoint: Path, nano_fp32_artifact: Path, tmp_path: Path
) -> None:
    fresh, old = tmp_path / "fresh" / "artifact", tmp_path / "old" / "artifact"
    fresh.parent.mkdir()
    shutil.copytree(nano_fp32_artifact, old)
    command = [sys.executable, "-c", KILLS_ITS_CHILDREN, str(nano_checkpoint), str(fresh), str(old)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [bool(json.loads(line)["left"]) for line in ended.stdout.splitlines()] == [True, True]
    for output in (fresh, old):
        if output.exists():  # killed behind the last renaming, or what was there before
            check_files(output, read_manifest(output), verify=True)
        with pytest.raises(ExportError):  # a run that is refused cleans up all the same
            export(ExportSettings(checkpoint=str(tmp_path / "none"), output=output))
        assert [path.name for path in output.parent.iterdir()] in ([], ["artifact"])
    check_files(old, read_manifest(old), verify=True)
