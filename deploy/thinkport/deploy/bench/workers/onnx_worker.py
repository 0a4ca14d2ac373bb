"""Measures a decoder's .onnx graph, such as onnxruntime-genai's builder writes, on plain ONNX Runtime.

Past and present share one buffer of noise: speed does not depend on what it holds. onnxruntime-genai can't be faster
than the bare graph, so its token loop does not count against it.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int8)": "int8", "tensor(uint8)": "uint8"}
_WARM = 3  # steps before time is taken
_TRIED = 512  # tokens of a prompt that tells which pieces are faster
_CHUNK = 128  # prompts are tried whole and in such pieces, which is faster on some processors; the better one counts


class OnnxDecoder:
    """A session and its cache of `capacity` tokens for each of `rows` sequences."""

    def __init__(self, ort: Any, model: Path, threads: int, capacity: int, head_size: int, rows: int = 1) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.names = [value.name for value in self.session.get_inputs()]
        noise = np.random.default_rng()
        self.values = []
        for value in self.session.get_inputs():
            if value.name.startswith("past_key_values."):
                _, heads, _, width = value.shape
                width = width if isinstance(width, int) else head_size
                draw = noise.standard_normal((rows, heads, capacity, width), np.float32)
                dtype = _DTYPES[value.type]
                held = ort.OrtValue.ortvalue_from_numpy((draw * (20 if "int8" in dtype else 1)).astype(dtype))
                self.values.append(held)
                self.binding.bind_ortvalue_input(value.name, held)
                self.binding.bind_ortvalue_output(value.name.replace("past_key_values", "present"), held)

    def step(self, ids: Any, total: int) -> None:
        """Run `ids` (rows, tokens) so that the cache holds `total` tokens; what it held beyond is overwritten."""
        rows, tokens = ids.shape
        self.binding.bind_cpu_input("input_ids", ids)
        if "attention_mask" in self.names:
            self.binding.bind_cpu_input("attention_mask", np.ones((rows, total), np.int64))
        if "position_ids" in self.names:
            positions = np.arange(total - tokens, total, dtype=np.int64)
            self.binding.bind_cpu_input("position_ids", np.tile(positions, (rows, 1)))
        self.binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(self.binding)

    def run(self, length: int, chunk: int, past: int = 0) -> float:
        """Seconds of so many random tokens over a cache of `past` tokens, in pieces of `chunk`."""
        ids = np.random.default_rng().integers(0, 1000, (1, length))
        start = perf_counter()
        for at in range(0, length, chunk):
            piece = np.ascontiguousarray(ids[:, at : at + chunk])
            self.step(piece, past + at + piece.shape[1])
        return perf_counter() - start

    def prefill(self, length: int, chunk: int) -> float:
        """Tokens per second of a prompt in pieces of `chunk`."""
        return length / self.run(length, chunk)

    def talk(self, asked: "dict[str, int]") -> "dict[str, float]":
        """What `TalkSeconds` says, greedily; to rewind is to overwrite, as onnxruntime-genai's `rewind_to` does."""
        prompt, answer = asked["prompt"], asked["answer"]
        tried = min(prompt, _TRIED)
        chunk = max((prompt, _CHUNK), key=lambda size: self.prefill(tried, min(tried, size)))
        first = self.run(prompt, chunk)
        start = perf_counter()
        for at in range(1, asked["thought"] + answer):
            token = self.binding.get_outputs()[-1].numpy()[0, -1].argmax()
            self.step(np.array([[token]], np.int64), prompt + at)
        reply = perf_counter() - start
        return {"prompt": first, "reply": reply, "second": self.run(answer + asked["question"], chunk, prompt)}

    def decode(self, context: int, steps: int, rows: int = 1) -> float:
        """Tokens per second of all rows over a cache of `context` tokens each."""
        seconds = []
        for count in range(_WARM + steps):
            start = perf_counter()
            self.step(np.full((rows, 1), count, np.int64), context + 1)
            seconds.append(perf_counter() - start)
        return rows / median(seconds[_WARM:])


def private_bytes() -> "int | None":
    """Memory that belongs to this process alone and is in no file; None if the system does not say."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123 - one way for all workers
            return 1024 * sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
    except OSError:
        return None


def head_size_beside(model: Path) -> int:
    """A head's width from the genai_config.json beside a graph that doesn't declare it; 128 without that file."""
    try:
        config = json.loads((model.parent / "genai_config.json").read_text(encoding="utf-8"))
        return int(config["model"]["decoder"]["head_size"])
    except (OSError, ValueError, KeyError):
        return 128


def main() -> None:
    """Measure and write."""
    folder, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
    model = folder if folder.is_file() else folder / "model.onnx"
    head_size = head_size_beside(model)
    ort = importlib.import_module("onnxruntime")
    engine = f"onnxruntime {ort.__version__}"
    if plan["clients"]:

        def together(context: int, rows: int) -> float:
            decoder = OnnxDecoder(ort, model, plan["threads"], context + 1, head_size, rows)
            return decoder.decode(context, plan["steps"], rows)

        found = {n: {rows: together(n, rows) for rows in plan["clients"]} for n in plan["contexts"]}
        sys.stdout.write(json.dumps({"engine": engine, "together": found}) + "\n")
        return
    talk = plan["talk"]
    longest = max([*plan["prefills"], *(context + 1 for context in plan["contexts"]), sum((talk or {}).values()), 1])
    start = perf_counter()
    decoder = OnnxDecoder(ort, model, plan["threads"], 1, head_size)
    loaded = perf_counter() - start
    memory = private_bytes()
    del decoder
    decoder = OnnxDecoder(ort, model, plan["threads"], longest, head_size)
    prefill = {
        length: max(decoder.prefill(length, chunk) for chunk in {length, min(length, _CHUNK)})
        for length in plan["prefills"]
    }
    decode = {context: decoder.decode(context, plan["steps"]) for context in plan["contexts"]}
    speeds = {"prefill": prefill, "decode": decode, "talk": decoder.talk(talk) if talk else None}
    facts = {"engine": engine, "load_s": loaded, "private_bytes": memory}
    sys.stdout.write(json.dumps({**facts, **speeds}) + "\n")


if __name__ == "__main__":
    main()
