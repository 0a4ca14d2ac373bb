"""What several clients get at the same time, on the reference model."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.deploy.bench.test_bench_command import run

from thinkport.deploy.bench.clients import LATE_PROMPT, measure_clients
from thinkport.deploy.bench.contender import BenchPlan, Contender, Sample
from thinkport.deploy.bench.workers.llama_worker import await_model
from thinkport.runtime import InputError

LLAMA_SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note(asked)
        self.send_response(200)
        self.end_headers()
        for token in range(asked["n_predict"]):
            time.sleep(0.005)
            self.wfile.write(f'data: {json.dumps({"tokens": [token], "stop": False})}\\n\\n'.encode())
        self.wfile.write(b'data: {"tokens": [], "stop": true}\\n\\n')

def note(line):
    with open(LOG, "a") as log:
        print(json.dumps(line), file=log)

note(sys.argv[1:])
port = int(sys.argv[sys.argv.index("--port") + 1])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def test_every_number_of_clients_is_timed_and_one_that_comes_late(nano_artifact: Path) -> None:
    plan = BenchPlan(contexts=(16,), clients=(1, 2), steps=200, rounds=1, threads=2, kernels="off", provider="cpu")
    found = measure_clients(nano_artifact, plan)
    assert [(one.context, one.clients) for one in found.gains] == [(16, 1), (16, 2)]
    assert all(min(one.turns, one.shared, one.gain, one.longest_wait) > 0 for one in found.gains)
    (late,) = found.late
    assert (late.clients, late.prompt, found.rows.max_rows) == (2, LATE_PROMPT, 2)
    assert min(late.alone, late.first_token, late.longest_wait, late.step) > 0


@pytest.mark.parametrize(("clients", "contexts"), [((0, 4), (16,)), ((), (16,)), ((2,), ())])
def test_no_clients_or_contexts_are_refused(tmp_path: Path, clients, contexts) -> None:
    with pytest.raises(InputError, match="each 1 or more"):
        measure_clients(tmp_path, BenchPlan(contexts=contexts, clients=clients))


@pytest.mark.parametrize("clients", [(0, 4), (2, 2), (-1,)])
def test_a_plan_of_no_clients_or_of_the_same_ones_is_refused_before_anything_runs(clients) -> None:
    with pytest.raises(InputError, match=r"--clients is .*, expected different numbers, each 1 or more"):
        BenchPlan(clients=clients)


def test_other_engines_have_the_same_clients(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    against = ("--against", nano_artifact / "cpu.onnx", "--kernels", "off", "--provider", "cpu")
    measured = ("--clients", "1,3", "--context", "16,20", "--steps", "200", "--rounds", "1", "--threads", "1")

    assert run(monkeypatch, nano_artifact, *measured, *against, "--json") == 0
    for row in json.loads(capsys.readouterr().out)["rows"]:
        (sample,) = row["samples"]
        assert sample["prefill"] == sample["decode"] == {}
        assert {n: sorted(found) for n, found in sample["together"].items()} == {"16": ["1", "3"], "20": ["1", "3"]}
        assert min(speed for found in sample["together"].values() for speed in found.values()) > 0


def test_the_table_has_the_medians_and_the_first_row_over_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], nano_artifact: Path
) -> None:
    speeds = iter((9.0, 1.0, 4.0, 10.0, 30.0, 5.0))  # the order turns, and the first two warm up

    def measure(self: Contender, plan: BenchPlan) -> Sample:
        assert (plan.clients, plan.contexts, plan.prefills) == ((4,), (1024,), ())
        return Sample(engine="x", graph="cpu.onnx", together={1024: {4: next(speeds)}})

    monkeypatch.setattr(Contender, "measure", measure)
    measured = ("--clients", "4", "--context", "1024", "--rounds", "2", "--against", nano_artifact / "cpu.onnx")

    assert run(monkeypatch, nano_artifact, *measured) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if re.match(r"(artifact|cpu\.onnx|  times) +[\d.]+$", line)]
    assert rows == [["artifact", "20.0"], ["cpu.onnx", "4.5"], ["times", "4.44"]]


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a script")
def test_llamas_server_has_every_prompt_before_time_is_taken(tmp_path: Path) -> None:
    model, log = tmp_path / "a.gguf", tmp_path / "log"
    model.touch()
    server = tmp_path / "llama-server"
    server.write_text(f"#!{sys.executable}\n{LLAMA_SERVER}".replace("LOG", repr(str(log))))
    server.chmod(0o755)
    plan = BenchPlan(contexts=(5,), prefills=(), rounds=1, steps=20, threads=1, clients=(2,))

    sample = Contender.parse(f"{model}={tmp_path / 'llama-bench'}").measure(plan)

    assert sample.together[5][2] > 0
    options, *asked = map(json.loads, log.read_text().splitlines())
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given["--host"] == "127.0.0.1"
    assert (given["-m"], given["-t"], given["-np"]) == (str(model), "1", "2")
    assert int(given["-c"]) >= 2 * (5 + 23)
    assert [(one["id_slot"], one["n_predict"]) for one in asked[:2]] == [(0, 1), (1, 1)]
    assert sorted((one["id_slot"], one["n_predict"]) for one in asked[2:]) == [(0, 23), (1, 23)]
    assert {one["id_slot"]: one["prompt"] for one in asked[:2]} == {one["id_slot"]: one["prompt"] for one in asked[2:]}


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a script")
def test_a_llama_server_that_ends_is_told_with_its_last_lines(tmp_path: Path) -> None:
    model, server = tmp_path / "a.gguf", tmp_path / "llama-server"
    model.touch()
    said = "import sys; print('one\\ntwo\\nerror: unknown model\\n\\nexiting', file=sys.stderr); sys.exit(7)"
    server.write_text(f"#!{sys.executable}\n{said}\n")
    server.chmod(0o755)
    plan = BenchPlan(contexts=(5,), prefills=(), rounds=1, steps=20, threads=1, clients=(2,))
    with pytest.raises(InputError, match=r"ended with 7; it said last: two \| error: unknown model \| exiting;"):
        Contender.parse(f"{model}={tmp_path / 'llama-bench'}").measure(plan)


def test_a_llama_server_that_never_has_its_model_is_not_waited_for_without_end() -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))  # nobody listens there
        port = found.getsockname()[1]
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server:
            try:
                with pytest.raises(RuntimeError, match="has not loaded its model after 0 seconds"):
                    await_model(port, server, seconds=0.0)
                assert server.poll() is None
            finally:
                server.kill()
