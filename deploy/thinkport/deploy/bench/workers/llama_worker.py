"""Measures a GGUF file with llama.cpp's own `llama-bench`, whose path is the third argument."""

import json
import subprocess
import sys
from typing import Any


def bench(program: str, model: str, *options: str) -> "list[dict[str, Any]]":
    """The records of one run."""
    command = [program, "-m", model, "-o", "json", "-r", "1", *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    records: list[dict[str, Any]] = json.loads(done.stdout)
    return records


def seconds(program: str, model: str, *options: str) -> float:
    """How long one run took, without what came before it."""
    return float(bench(program, model, *options)[0]["avg_ns"]) / 1e9


def talk(program: str, model: str, asked: "dict[str, int]", threads: "list[str]") -> "dict[str, float]":
    """What `TalkSeconds` says, in three runs, the later ones behind the prompt: to rewind (`llama_memory_seq_rm`) costs
    nothing there.
    """
    behind = ["-d", str(asked["prompt"])]
    rest, second = asked["thought"] + asked["answer"] - 1, asked["answer"] + asked["question"]
    return {
        "prompt": seconds(program, model, *threads, "-n", "0", "-p", str(asked["prompt"])),
        "reply": seconds(program, model, *threads, "-p", "0", "-n", str(rest), *behind) if rest else 0.0,
        "second": seconds(program, model, *threads, "-n", "0", "-p", str(second), *behind),
    }


def main() -> None:
    """Measure and write."""
    model, plan, program = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    threads = ["-t", str(plan["threads"])]
    prefills, contexts = (",".join(map(str, plan[name])) for name in ("prefills", "contexts"))
    records = []
    if prefills:
        records += bench(program, model, *threads, "-n", "0", "-p", prefills)
    if contexts:
        records += bench(program, model, *threads, "-p", "0", "-n", str(plan["steps"]), "-d", contexts)
    prefill = {record["n_prompt"]: record["avg_ts"] for record in records if record["n_prompt"]}
    decode = {record["n_depth"]: record["avg_ts"] for record in records if record["n_gen"]}
    engine = f"llama.cpp {records[0]['build_commit']}" if records else "llama.cpp"
    said = talk(program, model, plan["talk"], threads) if plan["talk"] else None
    sys.stdout.write(json.dumps({"engine": engine, "prefill": prefill, "decode": decode, "talk": said}) + "\n")


if __name__ == "__main__":
    main()
