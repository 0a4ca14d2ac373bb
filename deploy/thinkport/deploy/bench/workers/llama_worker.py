"""Measures a GGUF file with llama.cpp's own `llama-bench`, whose path is the third argument.

Several clients at the same time are measured with the `llama-server` beside it.
"""

import json
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import IO, Any

_FIRST = 3  # tokens of a client before speeds are taken
_LOADING = 600.0  # seconds until the server has its model
_SILENT = 300.0  # seconds without a token; a long prompt comes before the first one
_LAST = 3  # lines of what the server said that an error quotes


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


def written(port: int, slot: int, prompt: "list[int]", tokens: int) -> "list[float]":
    """When each token of a reply came."""
    asked = {"prompt": prompt, "n_predict": tokens, "id_slot": slot, "cache_prompt": True, "ignore_eos": True}
    connection = HTTPConnection("127.0.0.1", port, timeout=_SILENT)
    body = json.dumps({**asked, "stream": True, "temperature": 0, "return_tokens": True})
    connection.request("POST", "/completion", body, {"Content-Type": "application/json"})
    answer, times = connection.getresponse(), list[float]()
    if answer.status != 200:
        raise RuntimeError(f"llama-server refused a prompt: {answer.read(1000).decode(errors='replace')}")
    for line in answer:
        if line.startswith(b"data: {"):
            times += [perf_counter()] * len(json.loads(line[6:]).get("tokens") or [])
    return times


def served(port: int) -> bool:
    """Whether the server has its model by now."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def await_model(port: int, server: "subprocess.Popen[bytes]", seconds: float = _LOADING) -> None:
    """Wait until the server has its model.

    Raises:
        RuntimeError: it ended, or does not have it after so many seconds.
    """
    until = monotonic() + seconds
    while not served(port):
        if server.poll() is not None:
            raise RuntimeError(f"llama-server ended with {server.returncode}")
        if monotonic() >= until:
            raise RuntimeError(f"llama-server has not loaded its model after {seconds:g} seconds")
        sleep(0.1)


def last_lines(log: "IO[bytes]") -> str:
    """What a program said last, in one line."""
    log.seek(max(0, log.seek(0, 2) - 4096))
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    return " | ".join([line for line in lines if line][-_LAST:]) or "nothing"


def together(program: str, model: str, threads: "list[str]", context: int, clients: int, steps: int) -> float:
    """Tokens per second of all clients, from everybody's third token to the first one's last.

    Each slot has run its prompt before, so that all begin to write at once.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    tokens = _FIRST + steps
    holds = str(clients * (context + tokens + 8))
    options = ["--host", "127.0.0.1", "--port", str(port), "-np", str(clients), "-c", holds]
    command = [str(Path(program).with_name("llama-server")), "-m", model, *threads, *options]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log) as server,
    ):
        try:
            await_model(port, server)
            prompts = [[100 + (7 * at + slot) % 1000 for at in range(context)] for slot in range(clients)]
            for slot, prompt in enumerate(prompts):
                written(port, slot, prompt, 1)
            with ThreadPoolExecutor(clients) as pool:
                times = [*pool.map(lambda slot: written(port, slot, prompts[slot], tokens), range(clients))]
        except (OSError, HTTPException, RuntimeError) as error:
            silent = f"llama-server sent nothing for {_SILENT:g} seconds" if isinstance(error, TimeoutError) else error
            raise RuntimeError(f"{silent}; it said last: {last_lines(log)}") from error
        finally:
            server.kill()
    began, ended = max(found[_FIRST - 1] for found in times), min(found[-1] for found in times)
    if ended <= began:
        raise RuntimeError("one client wrote all of its tokens before another one began: --steps more")
    return sum(began < at <= ended for found in times for at in found) / (ended - began)


def main() -> None:
    """Measure and write."""
    model, plan, program = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    threads = ["-t", str(plan["threads"])]
    if plan["clients"]:
        speeds = {
            context: {n: together(program, model, threads, context, n, plan["steps"]) for n in plan["clients"]}
            for context in plan["contexts"]
        }
        sys.stdout.write(json.dumps({"engine": "llama.cpp's server", "together": speeds}))
        return
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
