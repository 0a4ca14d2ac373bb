"""Greedy replies of the same artifact in Python, Node and browsers have the same ids, near ties apart."""

import json
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from tests.web.scripted_model import NANO
from tests.web.workspace import ENGINE, WEB, fails, run, skips

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.engine.session import Session
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.providers.ort import import_onnxruntime

QUESTIONS, TOKENS = 20, 200
ARTIFACTS = ("fp32_", "")  # by the names of their fixtures
TIE = 1e-3  # logits by which the best two may differ where replies part
REPLIES = """
const [request, asked, done] = arguments;
replies(request, asked).then((found) => done(JSON.stringify(found)), (error) => done(String(error)));
"""
IN_NODE = {"node": "in Node", "wasm": "'s wasm", "webgpu": "'s webgpu", "firefox": "'s wasm"}  # the tests' names
HOSTS = ("node", "wasm", "webgpu", "firefox", "webkit")  # wasm and webgpu are Chromium's


def questions() -> list[str]:
    lines = (NANO / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines[:QUESTIONS]]


def model_of(artifact: Path, file: str) -> Model:
    """The artifact with one graph, on the CPU whatever provider it is made for."""
    manifest = read_manifest(artifact)
    graph = next(graph for graph in manifest.graphs if graph.file == file)
    on_cpu = graph.model_copy(update={"providers": ["CPUExecutionProvider"]})
    session = Session(import_onnxruntime(), artifact, on_cpu, manifest.model)
    template = ChatTemplate.from_file(artifact / manifest.chat_template, manifest.special_tokens)
    return Model(manifest, Tokenizer.from_file(artifact / manifest.tokenizer), template, session, drafts=False)


def reply_ids(model: Model, asked: dict[str, Any]) -> tuple[list[int], list[int]]:
    """The prompt's ids and the reply's, what ended it left out."""
    thinking = asked["options"]["thinking"]
    prompt = model.encode([{"role": "user", "content": asked["text"]}], enable_thinking=thinking)
    end = model.generate(asked["text"], thinking=thinking, max_tokens=TOKENS, sampling={"temperature": 0})
    known = model.replies.memory.replies(end.answer)[0].spellings[0].ids
    begun = [] if thinking else prompt[-4:]  # the empty thought that the prompt ends with
    assert list(known[: len(begun)]) == begun
    return prompt, list(known[len(begun) :])


def gap(model: Model, graph: str, ids: Sequence[int]) -> tuple[float, float]:
    """How far the best two logits behind `ids` are apart, and how far rounding moves the graph's logits there.

    Graphs of int4 weights round activations to int8, which WebAssembly does otherwise than x86-64. A code that flips
    moves logits by a small part of what all rounding moves them from the checkpoint's (the certificate's correlation).
    """
    row = np.sort(model.engine().logits(np.array([ids]))[0, -1])
    certificate = model.manifest.certificate
    assert certificate is not None
    (figure,) = (figure for figure in certificate.figures if figure.graph == graph)
    return float(row[-1] - row[-2]), float(row.std() * np.sqrt(2 * (1 - figure.correlation)))


class Files(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None:
        pass


class Outcome:
    """What was asked of an artifact, and where each host's replies lie."""

    def __init__(self, artifact: Path, folder: Path):
        self.artifact, self.file = artifact, folder / "questions.json"
        self.asked = [
            {"text": text, "options": {"thinking": thinking, "maxTokens": TOKENS, "sampling": {"temperature": 0}}}
            for text in questions()
            for thinking in (True, False)
        ]

    def run(self, host: str) -> str:
        """Have a host reply whose test Node runs; returns what it said."""
        self.file.write_text(json.dumps(self.asked), encoding="utf-8")
        asked = {"THINKPORT_ARTIFACT": str(self.artifact), "THINKPORT_GREEDY": str(self.file)}
        if host == "firefox":
            asked["THINKPORT_BROWSER"] = host
        done = run(ENGINE, "vitest", "run", "tests/greedy.test.ts", "-t", IN_NODE[host], **asked)
        return done.stdout + done.stderr

    def ask(self, webkit: Any) -> None:
        """Have WebKit reply, which Node doesn't drive: in the page that the other browsers are given."""
        top = self.file.parent
        page = ["vite", "build", "tests/browser", "--config", "tests/browser/vite.config.ts", "--logLevel", "error"]
        built = run(ENGINE, *page, "--outDir", str(top / "page"))
        assert built.returncode == 0, built.stderr
        (top / "model").symlink_to(self.artifact)
        (top / "ort").symlink_to(WEB / "node_modules" / "onnxruntime-web" / "dist")
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(top))) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            webkit.set_script_timeout(3600)
            webkit.get(f"http://127.0.0.1:{server.server_port}/page/index.html")
            request = {"source": {"kind": "http", "url": "/model/"}, "ort": "/ort/", "provider": "wasm"}
            said = webkit.execute_async_script(REPLIES, request, self.asked)
            server.shutdown()
        assert said.startswith("{"), said
        Path(f"{self.file}.webkit").write_text(said, encoding="utf-8")


@pytest.fixture(scope="module", params=ARTIFACTS)
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return Outcome(request.getfixturevalue(f"nano_{request.param}artifact"), tmp_path_factory.mktemp("greedy"))


@pytest.mark.long
@pytest.mark.parametrize("host", HOSTS)
def test_greedy_replies_have_the_same_ids(host: str, outcome: Outcome, request: pytest.FixtureRequest) -> None:
    said = ""
    if host == "webkit":
        outcome.ask(request.getfixturevalue("webkit"))
    else:
        said = outcome.run(host)
    found = Path(f"{outcome.file}.{host}")
    if not found.is_file():
        assert host != "node", said
        assert not fails(said), said
        assert host == "webgpu" or skips(said), said
        pytest.skip(f"no replies of {host}: no such browser, or it gives no such device")
    data = json.loads(found.read_text(encoding="utf-8"))
    graph = data["report"]["graph"]
    model, parted = model_of(outcome.artifact, graph), 0
    for one, theirs in zip(outcome.asked, data["replies"], strict=True):
        prompt, ours = reply_ids(model, one)
        if ours == theirs:
            continue
        same = common_prefix(ours, theirs)
        between, rounding = gap(model, graph, [*prompt, *ours[:same]])
        print(
            f"{host}: {one['text']!r} parts at token {same}, where the best two are {between:.1e} apart and rounding "
            f"moves logits by {rounding:.1e}"
        )
        assert between < max(TIE, rounding / 10), (
            f"{host} gives {theirs[same:][:5]} after {same} tokens, Python {ours[same:][:5]}"
        )
        parted += 1
    print(
        f"{host}, {graph}: {len(outcome.asked) - parted} of {len(outcome.asked)} replies alike, {parted} part at ties"
    )
