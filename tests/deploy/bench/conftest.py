"""Contenders that are written programs: what they report is known, and their calls are noted."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thinkport.deploy.bench.contender import Contender, Kind

FAKE = """
import json, sys, pathlib
plan = json.loads(sys.argv[2])
log = pathlib.Path({log!r})
calls = log.read_text().split() if log.exists() else []
log.write_text(" ".join([*calls, pathlib.Path(sys.argv[1]).name]))
speed = {speed} + len(calls)
decode = {{context: speed for context in plan["contexts"]}}
print("a line that an engine writes by itself")
print(json.dumps({{"engine": "fake 1", "decode": decode, "prefill": {{}}, "load_s": 0.5}}))
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def fake(tmp_path: Path, calls: Path) -> Callable[[str, float], Contender]:
    """A contender of a name, so many tokens per second fast, and one more with each earlier call of any."""

    def make(name: str, speed: float) -> Contender:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.onnx").touch()
        worker = tmp_path / f"{name}.py"
        worker.write_text(FAKE.format(log=str(calls), speed=speed))
        program = tmp_path / f"{name}-program"
        program.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" "{worker}" "$@"\n')
        program.chmod(0o755)
        return Contender(kind=Kind.ONNX, path=folder, program=str(program))

    return make


@pytest.fixture
def events() -> list[dict]:
    """A profile of three steps of two nodes: the first, of 900 µs, warms up."""
    found: list[dict] = [{"name": "session_initialization", "ts": 0, "dur": 5}]
    for start, duration in ((100, 900), (1100, 400), (1600, 200)):
        found.append({"name": "model_run", "ts": start, "dur": duration})
        for place, (node, op) in enumerate((("layers.7.q.MatMulNBits", "MatMulNBits"), ("mask.Sub", "Sub"))):
            entry = {"name": f"{node}_kernel_time", "ts": start + place + 1, "dur": duration // (4 * (place + 1))}
            found.append({**entry, "args": {"op_name": op}})
    return json.loads(json.dumps(found))
