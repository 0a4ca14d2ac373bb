"""The Python examples of the page on embedding and of the README run as they stand, on the reference checkpoint."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "deploy" / "docs" / "embedding.md"
README = PAGE.parents[2] / "README.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
# What an example prints, beside whatever else; they are found by what they import or call.
PRINTS = {
    "queue.Queue": r"cpu(-native)?\.onnx on CPU.*\n(.|\n)*\S\nthought \d+ tokens, natural\n\n4902\n\d+ tokens/s\n",
    "astream": r"\d+",
    "Switch.OFF": r"\d+ (natural|budget) call \d+\n",
    "model.score": r"\d+ tokens, perplexity \S+, \d+\.\d\d bits a byte\n('.+' -\d+\.\d+\n){2} 1[23]\n",
    "unload": r"MemoryUse\(kv=\d+, shared=0, limit=67108864\)\n",
    "no-such-folder": r"ArtifactError: .*no-such-folder.*\n",
    "onnxruntime_genai": r"\d+",
}


def example(mark: str) -> str:
    (found,) = [text for text in EXAMPLES if mark in text]
    return found


def run(source: str, artifact: Path) -> str:
    source = source.replace('"artifacts/nano-int4"', repr(str(artifact)))
    command = [sys.executable, "-W", "error", "-c", source]
    environment = os.environ | {"PYTHONUTF8": "1", "ORT_DISABLE_TELEMETRY": "1"}
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, env=environment, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("mark", PRINTS)
def test_an_example_of_the_page_runs(mark: str, nano_artifact: Path) -> None:
    if mark == "onnxruntime_genai":
        pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    assert re.fullmatch(PRINTS[mark], run(example(mark), nano_artifact))


def test_the_example_of_the_readme_runs(nano_artifact: Path) -> None:
    (source,) = EXAMPLE.findall(README.read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+\n", run(source, nano_artifact))


def test_the_page_has_no_example_that_is_not_run() -> None:
    assert sorted(EXAMPLES) == sorted(example(mark) for mark in PRINTS)


def test_the_complete_program_is_about_a_screen_long() -> None:
    assert 25 <= len([line for line in example("queue.Queue").splitlines() if line.strip()]) <= 36


def test_the_complete_program_tells_what_went_wrong(tmp_path: Path) -> None:
    assert run(example("queue.Queue"), tmp_path / "gone").startswith("It didn't work: ")
