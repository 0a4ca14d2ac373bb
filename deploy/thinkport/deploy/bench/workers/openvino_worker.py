"""Measures an OpenVINO GenAI folder through its pipeline, the only way to run it, so that its loop is included."""

import importlib
import json
import sys
from time import perf_counter
from typing import Any

import numpy as np


def private_bytes() -> "int | None":
    """Memory that belongs to this process alone and is in no file; None if the system does not say."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123 - one way for all workers
            return 1024 * sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
    except OSError:
        return None


def drawn(length: int) -> Any:
    """Random ids (tokens,)."""
    return np.random.default_rng().integers(0, 1000, length)


def reply(pipeline: Any, prompt: Any, tokens: int) -> Any:
    """The result of so many tokens after a prompt's ids, taken greedily."""
    openvino, genai = importlib.import_module("openvino"), importlib.import_module("openvino_genai")
    config = genai.GenerationConfig()
    config.max_new_tokens, config.do_sample, config.ignore_eos = tokens, False, True
    ids = np.ascontiguousarray(prompt[None], np.int64)
    inputs = genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
    return pipeline.generate(inputs, config)


def generate(pipeline: Any, length: int, tokens: int) -> Any:
    """The metrics of a random prompt and so many tokens after it."""
    return reply(pipeline, drawn(length), tokens).perf_metrics


def decoded(metrics: Any) -> float:
    """Tokens per second by the median step after the first token; the raw times are in milliseconds."""
    return 1e3 / float(np.median(np.diff(metrics.raw_metrics.m_new_token_times)))


def talk(pipeline: Any, asked: "dict[str, int]") -> "dict[str, float]":
    """What `TalkSeconds` says; the pipeline keeps the blocks of earlier prompts and finds the shared ones by itself."""
    prompt, start = drawn(asked["prompt"]), perf_counter()
    first = reply(pipeline, prompt, asked["thought"] + asked["answer"])
    replied = perf_counter()
    told = first.perf_metrics.get_ttft().mean / 1e3
    answer = np.array(first.tokens[0][asked["thought"] :], np.int64)
    again = perf_counter()
    reply(pipeline, np.concatenate([prompt, answer, drawn(asked["question"])]), 1)
    return {"prompt": told, "reply": replied - start - told, "second": perf_counter() - again}


def main() -> None:
    """Measure and write."""
    folder, plan = sys.argv[1], json.loads(sys.argv[2])
    genai = importlib.import_module("openvino_genai")
    start = perf_counter()
    pipeline = genai.LLMPipeline(folder, "CPU", INFERENCE_NUM_THREADS=plan["threads"])
    loaded = perf_counter() - start
    generate(pipeline, 16, 2)
    memory = private_bytes()
    prefill = {length: 1e3 * length / generate(pipeline, length, 1).get_ttft().mean for length in plan["prefills"]}
    decode = {context: decoded(generate(pipeline, context, plan["steps"] + 1)) for context in plan["contexts"]}
    said = talk(pipeline, plan["talk"]) if plan["talk"] else None
    facts = {"engine": f"openvino_genai {genai.__version__}", "load_s": loaded, "private_bytes": memory}
    sys.stdout.write(json.dumps({**facts, "prefill": prefill, "decode": decode, "talk": said}) + "\n")


if __name__ == "__main__":
    main()
