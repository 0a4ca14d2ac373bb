"""Measures an OpenVINO GenAI folder through its pipeline, the only way to run it, so that its loop is included."""

import importlib
import json
import os
import sys
from time import perf_counter
from typing import Any

import numpy as np

_FIRST = 3  # tokens of a request before speeds are taken


def private_bytes() -> "int | None":
    """Memory that belongs to this process alone and is in no file; None if the system does not say."""
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:  # noqa: PTH123 - one way for all workers
            return 1024 * sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
    except OSError:
        return None


def cache_gigabytes() -> int:
    """What the pipeline's cache is given, whole GB: a quarter of this machine's memory, at least 1 and at most 2."""
    if not hasattr(os, "sysconf"):  # Windows
        return 2
    return min(2, max(1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 32))


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


def together(folder: str, threads: int, context: int, clients: int, steps: int) -> float:
    """Tokens per second of all requests, from everybody's third token to the first one's last."""
    openvino, genai = importlib.import_module("openvino"), importlib.import_module("openvino_genai")
    scheduling = genai.SchedulerConfig()
    scheduling.max_num_seqs, scheduling.cache_size = clients, cache_gigabytes()  # prompts join steps, as by default
    pipeline = genai.ContinuousBatchingPipeline(folder, scheduling, "CPU", {"INFERENCE_NUM_THREADS": threads})
    config = genai.GenerationConfig()
    config.do_sample, config.ignore_eos = False, True
    # Prompts are run one after the other while earlier ones are written: replies are long enough to overlap.
    config.max_new_tokens = _FIRST + steps + clients * (1 + context // scheduling.max_num_batched_tokens)
    handles = [
        pipeline.add_request(number, openvino.Tensor(drawn(context)[None].astype(np.int64)), config)
        for number in range(clients)
    ]
    times: list[list[float]] = [[] for _ in handles]
    while pipeline.has_non_finished_requests():
        pipeline.step()
        now = perf_counter()
        for handle, found in zip(handles, times, strict=True):
            if handle.can_read():
                found += [now for part in handle.read().values() for _ in part.generated_ids]
    began, ended = max(found[_FIRST - 1] for found in times), min(found[-1] for found in times)
    if ended <= began:
        raise RuntimeError("one client wrote all of its tokens before another one began: --steps more")
    return sum(began < at <= ended for found in times for at in found) / (ended - began)


def main() -> None:
    """Measure and write."""
    folder, plan = sys.argv[1], json.loads(sys.argv[2])
    genai = importlib.import_module("openvino_genai")
    engine = f"openvino_genai {genai.__version__}"
    if plan["clients"]:
        speeds = {
            context: {
                count: together(folder, plan["threads"], context, count, plan["steps"]) for count in plan["clients"]
            }
            for context in plan["contexts"]
        }
        sys.stdout.write(json.dumps({"engine": engine, "together": speeds}) + "\n")
        return
    start = perf_counter()
    pipeline = genai.LLMPipeline(folder, "CPU", INFERENCE_NUM_THREADS=plan["threads"])
    loaded = perf_counter() - start
    generate(pipeline, 16, 2)
    memory = private_bytes()
    prefill = {length: 1e3 * length / generate(pipeline, length, 1).get_ttft().mean for length in plan["prefills"]}
    decode = {context: decoded(generate(pipeline, context, plan["steps"] + 1)) for context in plan["contexts"]}
    said = talk(pipeline, plan["talk"]) if plan["talk"] else None
    facts = {"engine": engine, "load_s": loaded, "private_bytes": memory}
    sys.stdout.write(json.dumps({**facts, "prefill": prefill, "decode": decode, "talk": said}) + "\n")


if __name__ == "__main__":
    main()
