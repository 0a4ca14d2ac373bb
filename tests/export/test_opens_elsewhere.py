"""The same folder opens in plain ONNX Runtime and in onnxruntime-genai, which know nothing of thinkport."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.export.parity.driver import relative

from thinkport.runtime import Model

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = [{"role": "user", "content": "What is 12 * 34?"}]
GENAI = """
import json, sys
import onnxruntime_genai as og
model = og.Model(sys.argv[1])
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


def ask_genai(artifact: Path) -> dict:
    """Greedy tokens of onnxruntime-genai, in a process of its own."""
    pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    command = [sys.executable, "-c", GENAI, str(artifact), json.dumps(QUESTION)]
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def greedy(session: ort.InferenceSession, ids: list[int], steps: int) -> list[int]:
    """Tokens of plain ONNX Runtime, the whole text anew each step and `logits_to_keep` left to its default."""
    past = {i.name: i.shape for i in session.get_inputs() if i.name.startswith("past_key_values.")}
    for _ in range(steps):
        feeds = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        feeds |= {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in past.items()}
        logits = session.run(["logits"], feeds)[0]
        assert logits.shape[1] == 1
        ids = [*ids, int(logits[0, -1].argmax())]
    return ids


def open_plainly(folder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(folder / "cpu.onnx", options, providers=["CPUExecutionProvider"])


def test_genai_renders_the_prompt_and_generates_what_plain_onnxruntime_does(nano_artifact: Path) -> None:
    found = ask_genai(nano_artifact)
    with Model.load(nano_artifact) as model:
        assert found["prompt"] == model.render(QUESTION)
        stops = set(model.manifest.stop_ids)
    expected = greedy(open_plainly(nano_artifact), found["ids"][: found["given"]], 12)
    length = len(found["ids"])
    assert length == len(expected) or found["ids"][-1] in stops
    assert found["ids"] == expected[:length]


def with_int8_cache(artifact: Path, folder: Path) -> Path:
    """The artifact's graph with an int8 KV cache, a scale a channel."""
    shutil.copytree(artifact, folder)
    model = onnx.load(artifact / "cpu.onnx", load_external_data=False)
    for value in [*model.graph.input, *model.graph.output]:
        if "key" in value.name or "value" in value.name:
            value.type.tensor_type.elem_type = TensorProto.INT8
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention":
            heads = next(a.i for a in node.attribute if a.name == "kv_num_heads")
            node.input.extend([""] * (12 - len(node.input)) + ["k_scale", "v_scale"])
            node.attribute.extend([helper.make_attribute(f"{part}_quant_type", "PER_CHANNEL") for part in "kv"])
            node.attribute.append(helper.make_attribute("kv_cache_bit_width", 8))
    scales = np.random.default_rng(0).uniform(0.04, 0.06, (1, heads, 1, 128)).astype(np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(scales, f"{part}_scale") for part in "kv")
    onnx.save(model, folder / "cpu.onnx")
    return folder


def run_in_place(folder: Path, ids: np.ndarray, dtype: type) -> np.ndarray:
    """Logits of two chunks and then single tokens, the cache bound in place over poison."""
    session = open_plainly(folder)
    binding = session.io_binding()
    for value in session.get_inputs():
        if value.name.startswith("past_key_values."):
            cache = ort.OrtValue.ortvalue_from_numpy(np.full((1, value.shape[1], 128, value.shape[3]), 77, dtype))
            binding.bind_ortvalue_input(value.name, cache)
            binding.bind_ortvalue_output(value.name.replace("past_key_values", "present"), cache)
    rows = []
    for start, stop in [(0, 20), (20, 40), *((at, at + 1) for at in range(40, 60))]:
        feeds = {
            "input_ids": ids[:, start:stop],
            "attention_mask": np.ones((1, stop), np.int64),
            "logits_to_keep": np.array([stop - start]),
        }
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)))
        binding.bind_output("logits", "cpu")
        session.run_with_iobinding(binding)
        rows.append(binding.get_outputs()[-1].numpy())
    return np.concatenate(rows, axis=1)


def test_an_int8_cache_with_a_scale_a_channel_is_close_to_a_float32_one(nano_artifact: Path, tmp_path: Path) -> None:
    ids = np.random.default_rng().integers(0, 512, (1, 60))
    quantized = run_in_place(with_int8_cache(nano_artifact, tmp_path / "int8"), ids, np.int8)
    assert relative(quantized, run_in_place(nano_artifact, ids, np.float32)) < 0.1


def test_genai_takes_an_int8_cache(nano_artifact: Path, tmp_path: Path) -> None:
    found = ask_genai(with_int8_cache(nano_artifact, tmp_path / "int8"))
    assert len(found["ids"]) > found["given"]
