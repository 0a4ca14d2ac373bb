"""lm-evaluation-harness scores a task of this machine over `/v1/completions` as the model itself scores its texts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.server.conftest import running

from thinkport.runtime import Model

pytestmark = pytest.mark.long

QUESTIONS = [
    {"question": "3 plus 4 is", "choices": [" 7", " 8", " 12"], "answer": 0},
    {"question": "What is 2*6?", "choices": [" 3", " 12"], "answer": 1},
    {"question": "A city by the sea:", "choices": [" Lisbon", " x", " 99"], "answer": 0},
]
TASK = """
task: local_choices
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""


def python_with_lm_eval() -> str:
    """The Python that THINKPORT_LM_EVAL names, or this one."""
    python = os.environ.get("THINKPORT_LM_EVAL", sys.executable)
    needed = "import lm_eval, datasets, tenacity, aiohttp, transformers"
    if shutil.which(python) is None or subprocess.run([python, "-c", needed], capture_output=True).returncode:
        pytest.skip("no lm_eval: name a Python with lm_eval[api] and transformers in THINKPORT_LM_EVAL")
    return python


def test_local_completions_gives_the_models_own_sums(nano_model: Model, nano_artifact: Path, tmp_path: Path) -> None:
    python = python_with_lm_eval()
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps(one) + "\n" for one in QUESTIONS), encoding="utf-8")
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "local_choices.yaml").write_text(TASK.format(file=data), encoding="utf-8")
    with running(nano_model) as served:
        arguments = f"model=nano,base_url={served.url}/v1/completions,tokenizer={nano_artifact},num_concurrent=1"
        command = [python, "-m", "lm_eval", "--model", "local-completions", "--model_args", arguments]
        command += ["--tasks", "local_choices", "--include_path", str(tmp_path / "task"), "--log_samples"]
        command += ["--output_path", str(tmp_path / "out")]
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
        done = subprocess.run(
            command, env={**os.environ, **offline}, capture_output=True, text=True, timeout=900, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    samples = [json.loads(line) for line in next((tmp_path / "out").rglob("samples_*.jsonl")).read_text().splitlines()]
    assert len(samples) == len(QUESTIONS)
    for sample in samples:
        question = sample["doc"]
        for choice, found in zip(question["choices"], sample["filtered_resps"], strict=True):
            whole = nano_model.score(question["question"] + choice).logprob
            expected = whole - nano_model.score(question["question"]).logprob
            assert float(found[0]) == pytest.approx(expected, abs=2e-2), (question["question"], choice)
