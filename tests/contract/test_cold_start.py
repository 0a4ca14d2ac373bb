"""Help and the runtime start without the packages of the export; each check is a fresh process."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript", "optimum", "matplotlib", "math_verify")
IMPORTS = "import thinkport.runtime"
RUNS = """
import sys
from thinkport.runtime.cli.main import main
sys.argv = {argv!r}
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
REPORTS = "\nimport json, sys\nsys.stderr.write(json.dumps(sorted(sys.modules)))\n"


def loaded_by(source: str) -> tuple[set[str], str]:
    """The modules that a fresh process has loaded after running the source, and what it printed."""
    done = subprocess.run([sys.executable, "-c", source + REPORTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([verb, "--help"] for verb in ("chat", "generate", "inspect", "eval", "export"))],
    ids=" ".join,
)
def test_help_loads_no_heavy_package(arguments: list[str]) -> None:
    modules, printed = loaded_by(RUNS.format(argv=["thinkport", *arguments]))
    assert not modules.intersection(HEAVY)
    assert f"Usage: thinkport {arguments[0]}" in printed or arguments == ["--help"]


def test_importing_the_runtime_loads_no_heavy_package() -> None:
    modules, printed = loaded_by(IMPORTS)
    assert not modules.intersection(HEAVY)
    assert printed == ""


def test_the_check_would_see_a_heavy_package() -> None:
    assert "onnx" in loaded_by("import onnx")[0]
