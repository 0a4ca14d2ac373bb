"""The same folder opens in plain ONNX Runtime and in onnxruntime-genai, which know nothing of thinkport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from thinkport.runtime import Model
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUESTION = [{"role": "user", "content": "What is 12 * 34, and what is 56 * 78?"}]
CACHES = {"tensor(float)": np.float32, "tensor(int8)": np.int8}
GENAI = """
import json, sys
import onnxruntime_genai as og
config = og.Config(sys.argv[1])
config.overlay(sys.argv[3])
model = og.Model(config)
tokenizer = og.Tokenizer(model)
prompt = tokenizer.apply_chat_template(sys.argv[2], add_generation_prompt=True)
ids = tokenizer.encode(prompt)
params = og.GeneratorParams(model)
params.set_search_options(max_length=len(ids) + 12, do_sample=False)
generator = og.Generator(model, params)
generator.append_tokens(ids)
while not generator.is_done():
    generator.generate_next_token()
print(json.dumps({"prompt": prompt, "ids": [int(i) for i in generator.get_sequence(0)], "given": len(ids)}))
"""


def ask_genai(artifact: Path, overlay: dict | None = None) -> dict:
    """Greedy tokens of onnxruntime-genai, in a process of its own, with an overlay on its configuration."""
    pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    command = [sys.executable, "-c", GENAI, str(artifact), json.dumps(QUESTION), json.dumps(overlay or {})]
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def greedy(session: ort.InferenceSession, ids: list[int], steps: int) -> list[int]:
    """Tokens of plain ONNX Runtime, the whole text anew each step and `logits_to_keep` left to its default."""
    past = [i for i in session.get_inputs() if i.name.startswith("past_key_values.")]
    for _ in range(steps):
        feeds = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        feeds |= {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), CACHES[i.type]) for i in past}
        logits = session.run(["logits"], feeds)[0]
        assert logits.shape[1] == 1
        ids = [*ids, int(logits[0, -1].argmax())]
    return ids


def open_plainly(folder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(folder / "cpu.onnx", options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=["int8", "fp32"])
def artifact(request: pytest.FixtureRequest, nano_checkpoint: Path, exported: Callable[..., Path]) -> Path:
    return exported(nano_checkpoint, kv=request.param)


def test_genai_takes_one_row_of_logits_from_every_graph_that_it_is_given(nano_artifact: Path) -> None:
    graphs = read_manifest(nano_artifact).graphs
    told = [json.loads(path.read_bytes()) for path in sorted(nano_artifact.glob("genai_*.json"))]
    named = {one["model"]["decoder"]["filename"] for one in told}
    assert named == {path.name for path in nano_artifact.glob("genai-*.onnx")} == {f"genai-{g.file}" for g in graphs}
    for file in named:
        theirs = onnx.load(nano_artifact / file, load_external_data=False).graph
        ours = onnx.load(nano_artifact / file.removeprefix("genai-"), load_external_data=False).graph
        assert [value.name for value in theirs.input] == [i.name for i in ours.input if i.name != "logits_to_keep"]
        logits = next(value for value in theirs.output if value.name == "logits")
        assert logits.type.tensor_type.shape.dim[1].dim_value == 1
        assert (list(theirs.node), list(theirs.initializer)) == (list(ours.node), list(ours.initializer))


def test_genai_renders_the_prompt_and_generates_what_plain_onnxruntime_does(artifact: Path) -> None:
    found = ask_genai(artifact)
    with Model.load(artifact) as model:
        assert found["prompt"] == model.render(QUESTION)
        stops = set(model.manifest.stop_ids)
    expected = greedy(open_plainly(artifact), found["ids"][: found["given"]], 12)
    length = len(found["ids"])
    assert length == len(expected) or found["ids"][-1] in stops
    assert found["ids"] == expected[:length]


@pytest.mark.parametrize("stem", ["cpu-float32-kv", "dml", "dml-plain"])
def test_genai_opens_another_graph_of_the_folder_through_its_overlay(nano_artifact: Path, stem: str) -> None:
    overlay = json.loads((nano_artifact / f"genai_overlay.{stem}.json").read_text(encoding="utf-8"))
    overlay["model"]["decoder"]["session_options"]["provider_options"] = []  # on the CPU, where this runs
    found, usual = ask_genai(nano_artifact, overlay), ask_genai(nano_artifact)
    assert 24 <= found["given"] == usual["given"] < len(found["ids"])  # a long prompt is where rows go wrong
    assert found["ids"][: found["given"] + 1] == usual["ids"][: usual["given"] + 1]
