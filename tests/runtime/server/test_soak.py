"""A server under 32 clients that join and leave, for minutes: its memory, its line, its errors and its greedy replies.

THINKPORT_SOAK_MINUTES says how many minutes, THINKPORT_SOAK_ARTIFACT of which artifact, THINKPORT_SOAK_PLOT where the
memory is drawn.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, not on this system"),
]
MINUTES = float(os.environ.get("THINKPORT_SOAK_MINUTES", "3"))
CACHES = ("kv", "prefix")
CLIENTS, ROWS, QUEUE = 32, 8, 20  # four clients more than there is room for
ROUTE = "/v1/chat/completions"
PATIENT = 1200.0  # seconds; a reply of a large model that waits for others takes minutes
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"to": {"enum": ["a", "b"]}},
            "required": ["to"],
            "additionalProperties": False,
        },
    },
}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 160, **fields}


@dataclass
class Soak:
    """What clients saw, by kind of request; `greedy` are bodies and what came for them."""

    base: dict[str, Any]  # of httpx.Client
    until: float
    seen: Counter[str] = field(default_factory=Counter)
    greedy: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)  # the longest seconds between two tokens of each stream

    def client(self, number: int) -> None:
        """Ask until the time is over; a client that leaves comes back as another one, with a connection of its own."""
        chance = Random(number)
        kinds: list[Callable[[httpx.Client, Random], None]]
        kinds = [self.hang_up, self.give_up, self.tool, self.long, self.stop, *[self.whole, self.stream] * 2]
        while monotonic() < self.until:
            with httpx.Client(**self.base) as client:
                for _ in range(chance.randint(1, 6)):
                    kind = chance.choice(kinds)
                    kind(client, chance)
                    self.seen[kind.__name__] += 1

    def post(self, client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request; one that finds the line full comes back when it is told to."""
        while True:
            answer = client.post(ROUTE, json=body)
            if answer.status_code != 429:
                assert answer.status_code == 200, answer.text
                found: dict[str, Any] = answer.json()
                return found
            self.seen["turned away"] += 1
            wait = int(answer.headers["retry-after"])
            assert 1 <= wait <= 600
            sleep(min(wait, 2))

    @contextmanager
    def streamed(self, client: httpx.Client, body: dict[str, Any]) -> Iterator[httpx.Response]:
        with client.stream("POST", ROUTE, json={**body, "stream": True}) as answer:
            assert answer.status_code in (200, 429), answer.status_code
            yield answer

    def whole(self, client: httpx.Client, chance: Random) -> None:
        question = f"What is {chance.randint(10, 99)}*{chance.randint(10, 99)}?"
        body = said(question, temperature=0, logprobs=True, enable_thinking=chance.random() < 0.5)
        self.greedy.append((body, self.post(client, body)))

    def stream(self, client: httpx.Client, chance: Random) -> None:
        with self.streamed(client, said(f"What is {chance.randint(10, 99)}+5?", seed=chance.randint(0, 99))) as answer:
            lines, came = [], []
            for line in answer.iter_lines():
                lines.append(line)
                if '"content":' in line or '"reasoning_content":' in line:
                    came.append(monotonic())
        if answer.status_code != 429:
            assert lines[-2:] == ["data: [DONE]", ""], lines[-3:]
            self.gaps.append(max((after - before for before, after in pairwise(came)), default=0.0))

    def hang_up(self, client: httpx.Client, chance: Random) -> None:
        with self.streamed(client, said("What is 86*57?", enable_thinking=True)) as answer:
            for at, _ in enumerate(answer.iter_bytes()):
                if at == chance.randint(0, 20):
                    break

    def give_up(self, client: httpx.Client, chance: Random) -> None:
        """Wait for a whole reply, or in the line, for less time than it takes."""
        try:
            client.post(ROUTE, json=said("What is 86*57?"), timeout=chance.choice([0.005, 0.05, 0.5]))
        except httpx.TimeoutException:
            self.seen["gave up"] += 1

    def tool(self, client: httpx.Client, chance: Random) -> None:
        body = said(f"Add {chance.randint(1, 9)}.", tools=[TOOL], tool_choice="required", enable_thinking=False)
        (choice,) = self.post(client, body)["choices"]
        (call,) = choice["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"])["to"] in ("a", "b")

    def long(self, client: httpx.Client, chance: Random) -> None:
        text = " ".join(f"{chance.randint(10, 99)}*{chance.randint(10, 99)}" for _ in range(chance.randint(100, 400)))
        assert self.post(client, said(text, max_tokens=4, enable_thinking=False))["usage"]["prompt_tokens"] > 300

    def stop(self, client: httpx.Client, chance: Random) -> None:
        """Close a thought, or end a reply, from another connection."""
        with self.streamed(client, said("What is 86*57?", enable_thinking=True)) as answer:
            if answer.status_code == 200:
                verb, name = chance.choice(["stop", "stop_thinking"]), answer.headers["x-thinkport-reply"]
                told = httpx.post(f"{self.base['base_url']}{ROUTE}/{name}/{verb}", headers=self.base["headers"])
                assert told.status_code in (200, 204, 404), told.text  # its reply may be over
                assert "".join(answer.iter_text()).endswith("data: [DONE]\n\n")


def same(reply: dict[str, Any]) -> Any:
    """What a greedy reply is when it is the same to the bit: its texts, and its tokens with their log probabilities."""
    (choice,) = reply["choices"]
    return choice["message"], choice["logprobs"], choice["finish_reason"], reply["usage"]["completion_tokens"]


def plotted(path: Path, samples: list[tuple[float, float, float, int]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    memory, rows = figure.subplots(2, sharex=True)
    minutes, megabytes, caches, waiting = zip(*samples, strict=True)
    memory.plot(minutes, megabytes, label="all")
    memory.plot(minutes, caches, label="KV caches")
    memory.legend()
    memory.set(ylabel="resident, MB", ylim=(0, 1.1 * max(megabytes)))
    rows.plot(minutes, waiting)
    rows.set(ylabel="waiting", xlabel="minutes")
    figure.savefig(path)


def test_32_clients_that_join_and_leave_find_memory_line_and_greedy_replies_as_they_should_be(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    artifact = os.environ.get("THINKPORT_SOAK_ARTIFACT") or str(request.getfixturevalue("nano_artifact"))
    log = tmp_path / "log"
    command = [sys.executable, "-m", "thinkport.runtime", "serve", artifact, "--sidecar"]
    command += ["--provider", "cpu", "--max-rows", str(ROWS), "--queue", str(QUEUE)]
    with log.open("w") as errors:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    base = {"base_url": told["url"], "headers": {"authorization": f"Bearer {told['api_key']}"}, "timeout": PATIENT}
    begun = monotonic()
    soak = Soak(base, begun + 60 * MINUTES)
    samples: list[tuple[float, float, float, int]] = []
    with httpx.Client(**base) as looking, ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(soak.client, number) for number in range(CLIENTS)]
        while not all(one.done() for one in asking):
            state = looking.get("/health").json()
            assert state["status"] == "ok"
            assert 0 <= state["active"] <= ROWS
            assert 0 <= state["waiting"] <= QUEUE
            assert state["wait_seconds"] >= (1 if state["waiting"] else 0)
            held = 1024 * int(Path(f"/proc/{server.pid}/status").read_text().split("VmRSS:")[1].split()[0])
            figures = looking.get("/metrics").text
            caches = sum(float(re.findall(rf"^thinkport_{one}_cache_bytes (\S+)$", figures, re.M)[0]) for one in CACHES)
            samples.append(((monotonic() - begun) / 60, held / 1e6, caches / 1e6, state["waiting"]))
            sleep(0.5)
        for one in asking:
            one.result()
        while looking.get("/health").json()["active"]:  # those who hung up at last
            sleep(0.05)
        state = looking.get("/health").json()
        assert (state["active"], state["waiting"], state["wait_seconds"]) == (0, 0, 0)
        shared = looking.get("/metrics").text
        sample = Random(0).sample(soak.greedy, min(40, len(soak.greedy)))
        alone = [same(looking.post(ROUTE, json=body).json()) for body, _ in sample]
    server.stdin.close()  # a sidecar ends with the pipe that its app holds
    assert server.wait(120) == 0
    server.stdout.close()
    if plot := os.environ.get("THINKPORT_SOAK_PLOT"):
        plotted(Path(plot), samples)
    equal = sum(same(found) == one for (_, found), one in zip(sample, alone, strict=True))
    halves = ([held for at, held, _, _ in samples if (at < MINUTES / 2) is early] for early in (True, False))
    before, after = map(median, halves)  # of a saw's teeth: cycles are collected now and then
    print(f"{MINUTES:g} minutes: {dict(soak.seen)}; {equal} of {len(sample)} greedy replies equal those alone")
    most, caches = (max(sample[index] for sample in samples) for index in (1, 2))
    print(
        f"{samples[0][1]:.1f} MB at first, {before:.1f} in the first half, {after:.1f} in the second, "
        f"{most:.1f} at most; KV caches may take {caches:.1f} of it"
    )
    gaps = sorted(soak.gaps) or [0.0]
    print(f"longest gap between tokens of {len(soak.gaps)} streams: {median(gaps):.2f} s median, {gaps[-1]:.2f} s most")
    print("".join(f"{line}\n" for line in shared.splitlines() if "step" in line and not line.startswith("#")))
    assert "Traceback" not in log.read_text()
    assert soak.seen["turned away"] + soak.seen["gave up"] > 0
    if caches < 0.5 * most:  # large ones fill for as long as longer conversations come
        assert after < 1.05 * before
    assert most < 2 * samples[0][1] + caches
    if str(state["provider"].get("graph", "")).endswith("native.onnx"):
        assert equal == len(sample)  # other kernels promise the same distribution only
