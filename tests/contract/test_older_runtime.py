"""On the ONNX Runtime of the last DirectML package the CPU really falls back to the graph that it can run.

Apart from the offline suite, since it installs that version: `pytest -m online tests/contract/test_older_runtime.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OLDEST = "1.24.4"  # the one of onnxruntime-directml, whose CPU provider has no int8 KV cache
ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
from thinkport.deploy.verification import verify
from thinkport.runtime import Model
with Model.load(sys.argv[1]) as model:
    reply = model.generate("What is 3 plus 4?", thinking=False, sampling={"temperature": 0}, max_tokens=24)
    told = {"report": model.provider_report.as_json(), "answer": reply.answer}
checks = verify(Path(sys.argv[1]), provider=told["report"]["chosen"]["graph"].removesuffix(".onnx")).as_json()
print(json.dumps(told | {"verified": checks}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of its own, with thinkport and that ONNX Runtime."""
    folder = tmp_path_factory.mktemp("older")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    found = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = [str(found), "-m", "pip", "install", "--quiet", str(ROOT), f"onnxruntime=={OLDEST}"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return found


@pytest.mark.online
def test_the_oldest_runtime_takes_the_float32_cache_and_answers_right(python: Path, nano_artifact: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-c", PROGRAM, str(nano_artifact)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["report"]["build"].endswith(OLDEST)
    assert told["report"]["chosen"]["graph"] == "cpu-float32-kv.onnx"
    refused = {one["graph"]: one["reason"] for one in told["report"]["attempts"] if one["outcome"] == "impossible"}
    assert refused["cpu.onnx"].startswith("needs ONNX Runtime")
    assert told["answer"]
    goldens = [check for check in told["verified"]["checks"] if check["name"] == "goldens on cpu-float32-kv.onnx"]
    assert [check["passed"] for check in goldens] == [True]
