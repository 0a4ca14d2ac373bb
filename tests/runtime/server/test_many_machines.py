"""Two servers behind HAProxy, by the configuration of the examples: sessions stay, servers are killed and drained."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from openai import OpenAI

EXAMPLE = Path(__file__).parents[3] / "deploy" / "examples" / "haproxy.cfg"
PROGRAM = "from thinkport.runtime.cli.main import main; main()"
NAMES = ("one", "two")
pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name == "nt", reason="HAProxy has no build for Windows")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


def question(text: str = "What is 86*57?", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "enable_thinking": False, "temperature": 0, **more}


def long_question() -> dict[str, Any]:
    """Asks for replies that go on for seconds."""
    form = {"type": "regex", "pattern": "[0-9]{1500}"}
    return question(response_format=form, n=3, stream=True)


def wait_for(holds: Callable[[], bool]) -> None:
    until = monotonic() + 300
    while not holds():
        assert monotonic() < until
        sleep(0.05)


class Stream:
    """A reply that is read piece by piece."""

    def __init__(self, response: httpx.Response):
        self.response, self._lines = response, response.iter_lines()
        self.reply, self.server = response.headers["x-thinkport-reply"], response.headers["x-served-by"]

    def piece(self) -> dict[str, Any] | None:
        """The next piece; None at its regular end."""
        line = next(line for line in self._lines if line.startswith("data: "))
        return None if line == "data: [DONE]" else json.loads(line.removeprefix("data: "))

    def rest(self) -> list[dict[str, Any]]:
        return [*iter(self.piece, None)]


class Machines:
    """The servers and the proxy."""

    def __init__(self, artifact: Path, folder: Path, stack: ExitStack):
        self._artifact, self._stack = artifact, stack
        self.ports = dict(zip(NAMES, (free_port(), free_port()), strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._admin, port = folder / "admin.sock", free_port()
        text = EXAMPLE.read_text()
        changes = {"/run/haproxy/admin.sock": str(self._admin), "127.0.0.1:8000": f"127.0.0.1:{port}"}
        changes |= {
            "127.0.0.1:8081": f"127.0.0.1:{self.ports['one']}",
            "127.0.0.1:8082": f"127.0.0.1:{self.ports['two']}",
        }
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "haproxy.cfg").write_text(text)
        for name in NAMES:
            self.start(name)
        self._run([haproxy(), "-f", str(folder / "haproxy.cfg")])
        self.url = f"http://127.0.0.1:{port}"
        self.client = stack.enter_context(httpx.Client(base_url=self.url, timeout=300))
        wait_for(self._admin.exists)
        for name in NAMES:
            self.wait(name, up=True)

    def start(self, name: str) -> None:
        command = [sys.executable, "-c", PROGRAM, "serve", str(self._artifact), "--name", "nano", "--grace", "3600"]
        self.processes[name] = self._run([*command, "--port", str(self.ports[name])])

    def wait(self, name: str, *, up: bool) -> None:
        """Wait until the proxy sees that a server is up, or that it is not."""
        state = "2" if up else "0"
        wait_for(lambda: self._operational(name) == state)

    def told(self, command: str) -> str:
        """What the proxy's administration answers."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._admin))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(1 << 16), b"")).decode()

    def ask(self, session: str | None, **more: Any) -> httpx.Response:
        headers = {} if session is None else {"x-session-id": session}
        response = self.client.post("/v1/chat/completions", json=question(**more), headers=headers)
        assert response.status_code == 200, response.text
        return response

    def server_of(self, session: str | None) -> str:
        return str(self.ask(session, max_tokens=1).headers["x-served-by"])

    def sessions(self) -> dict[str, str]:
        """A session of each server."""
        found: dict[str, str] = {}
        for number in range(64):
            found.setdefault(self.server_of(f"s{number}"), f"s{number}")
            if len(found) == 2:
                return found
        raise AssertionError("all sessions went to one server")

    @contextmanager
    def stream(self, session: str) -> Iterator[Stream]:
        path, headers = "/v1/chat/completions", {"x-session-id": session}
        with self.client.stream("POST", path, json=long_question(), headers=headers) as response:
            assert response.status_code == 200
            yield Stream(response)

    def active(self, name: str) -> int:
        return int(httpx.get(f"http://127.0.0.1:{self.ports[name]}/health").json()["active"])

    def listens(self, name: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.ports[name])).close()
        except ConnectionRefusedError:
            return False
        return True

    def _operational(self, name: str) -> str:
        heads, *rows = self.told("show servers state models").splitlines()[1:]
        names = heads.removeprefix("# ").split()
        states = [dict(zip(names, row.split(), strict=False)) for row in rows if row]
        return next(one["srv_op_state"] for one in states if one["srv_name"] == name)

    def _run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        process = self._stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        self._stack.callback(process.kill)
        return process


def haproxy() -> str:
    found = shutil.which("haproxy", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        pytest.skip("no HAProxy on this machine (Debian: apt-get install haproxy)")
    return found


@pytest.fixture(scope="module")
def machines(nano_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    haproxy()
    with ExitStack() as stack:
        yield Machines(nano_artifact, tmp_path_factory.mktemp("ha"), stack)


def test_a_session_stays_with_its_server_whose_kv_cache_has_it(machines: Machines) -> None:
    first = {f"stay{number}": machines.server_of(f"stay{number}") for number in range(8)}
    assert set(first.values()) == set(NAMES)
    for session, server in first.items():
        again = machines.ask(session, max_tokens=1)
        assert again.headers["x-served-by"] == server
        usage = again.json()["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] >= usage["prompt_tokens"] - 1


def test_a_prompt_cache_key_is_a_session_wherever_it_stands_in_a_long_body(machines: Machines) -> None:
    with OpenAI(base_url=f"{machines.url}/v1", api_key="any", max_retries=0) as client:

        def server_of(key: str, text: str) -> str:
            messages: Any = [{"role": "user", "content": text}]
            extra = {"enable_thinking": False}
            response = client.chat.completions.with_raw_response.create(
                model="nano", messages=messages, max_tokens=1, extra_body=extra, prompt_cache_key=key
            )
            return str(response.headers["x-served-by"])

        servers = {f"key{number}": server_of(f"key{number}", "hi") for number in range(8)}
        assert set(servers.values()) == set(NAMES)
        for key, server in servers.items():
            assert server_of(key, "1 + " * 1900) == server


def test_a_stop_goes_where_the_reply_is_written_and_tokens_come_as_they_are_written(machines: Machines) -> None:
    here = machines.server_of(None)  # the session of this address
    there = next(name for name in NAMES if name != here)
    with machines.stream(machines.sessions()[there]) as stream:
        assert stream.server == there
        assert stream.piece()
        assert machines.active(there) == 1, "the first piece came when the reply was over"
        stopped = machines.client.post(f"/v1/chat/completions/{stream.reply}/stop")
        assert (stopped.status_code, stopped.headers["x-served-by"]) == (204, there)
        rest = stream.rest()
    assert rest[-1]["choices"][0]["thinking"]["answer_end"] == "cancelled"


def test_a_stop_passes_the_line_of_a_server_that_has_all_the_requests_it_takes(machines: Machines) -> None:
    server, session = next(iter(machines.sessions().items()))
    machines.told(f"set maxconn server models/{server} 1")
    with machines.stream(session) as stream:
        assert stream.piece()
        stopped = machines.client.post(f"/v1/chat/completions/{stream.reply}/stop", timeout=30)
        assert (stopped.status_code, stopped.headers["x-served-by"]) == (204, server)
        assert stream.rest()[-1]["choices"][0]["thinking"]["answer_end"] == "cancelled"
    machines.told(f"set maxconn server models/{server} 40")


def test_a_client_that_hangs_up_frees_its_place(machines: Machines) -> None:
    server, session = next(iter(machines.sessions().items()))
    with machines.stream(session) as stream:
        assert stream.piece()
    wait_for(lambda: machines.active(server) == 0)


def test_a_server_in_maintenance_ends_its_streams_and_gets_no_new_request(machines: Machines) -> None:
    sessions = machines.sessions()
    with machines.stream(sessions["one"]) as stream:
        assert stream.piece()
        assert machines.told("set server models/one state maint").strip() == ""
        assert {machines.server_of(f"maint{number}") for number in range(6)} == {"two"}
        assert machines.server_of(sessions["one"]) == "two"
        whole(stream)
    machines.told("set server models/one state ready")
    machines.wait("one", up=True)


def test_a_drained_server_ends_its_streams_and_no_request_fails(machines: Machines) -> None:
    sessions = machines.sessions()
    with machines.stream(sessions["one"]) as stream:
        assert stream.piece()
        machines.processes["one"].send_signal(signal.SIGTERM)
        wait_for(lambda: not machines.listens("one"))
        assert {machines.server_of(f"drain{number}") for number in range(6)} == {"two"}
        assert machines.server_of(sessions["one"]) == "two"
        whole(stream)
    assert machines.processes["one"].wait(60) == -signal.SIGTERM  # uvicorn ends by the signal that it was sent
    machines.start("one")
    machines.wait("one", up=True)


def test_a_killed_server_costs_its_own_streams_only(machines: Machines) -> None:
    sessions = machines.sessions()
    with machines.stream(sessions["one"]) as lost, machines.stream(sessions["two"]) as kept:
        assert lost.piece()
        assert kept.piece()
        machines.processes["one"].kill()
        with pytest.raises(httpx.TransportError):
            lost.rest()
        assert machines.server_of(sessions["one"]) == "two"
        whole(kept)
    assert {machines.server_of(f"kill{number}") for number in range(6)} == {"two"}
    machines.wait("one", up=False)
    machines.start("one")
    machines.wait("one", up=True)
    assert set(machines.sessions()) == set(NAMES)


def whole(stream: Stream) -> None:
    """Read a stream of the long question to its regular end."""
    texts = dict.fromkeys(range(3), "")
    finished = {}
    for piece in stream.rest():
        for choice in piece["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
            finished[choice["index"]] = choice["finish_reason"]
    assert finished == dict.fromkeys(range(3), "stop")
    assert all(len(text) == 1500 and text.isdecimal() for text in texts.values())
