"""48 layers of 128 experts are exported in the memory of a few layers."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.export.trace.checkpoints import MIXTURE, narrow_checkpoint

pytestmark = pytest.mark.long
SIZES = MIXTURE | {"num_experts": 128, "num_experts_per_tok": 8}
PROGRAM = """
import sys
from pathlib import Path
from thinkport.export import ExportSettings, export
export(ExportSettings(checkpoint=sys.argv[1], output=Path(sys.argv[2]), recipe="int8", certificate=False))
status = Path("/proc/self/status").read_text()  # a process's rusage also counts what its parent held when it began
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of a process is read from Linux's /proc")
def test_peak_memory_does_not_grow_with_the_layers_of_a_mixture(tmp_path: Path) -> None:
    peaks, weights = {}, {}
    for layers in (6, 48):
        folder = narrow_checkpoint(tmp_path / f"{layers}", **SIZES | {"num_hidden_layers": layers})
        weights[layers] = (folder / "model.safetensors").stat().st_size
        command = [sys.executable, "-c", PROGRAM, str(folder), str(tmp_path / f"artifact-{layers}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[layers] = 1024 * int(done.stdout.split()[-1])
    grown, more = peaks[48] - peaks[6], weights[48] - weights[6]
    print(f"{grown / 1e6:.0f} MB more for {more / 1e6:.0f} MB more of weights")
    assert grown < more / 5  # names and places of 18,000 tensors
