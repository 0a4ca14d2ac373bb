"""Greedy replies of the same artifact in Python, Node and Chromium have the same ids, near ties apart."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.web.scripted_model import NANO
from tests.web.workspace import ENGINE, npx

from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.providers.ort import import_onnxruntime

QUESTIONS, TOKENS = 20, 200
TIE = 1e-3  # logits by which the best two may differ where replies part
HOSTS = ("node", "wasm", "webgpu")


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


def gap(model: Model, ids: Sequence[int]) -> float:
    """How far the best two logits behind `ids` are apart."""
    row = np.sort(model.engine().logits(np.array([ids]))[0, -1])
    return float(row[-1] - row[-2])


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, nano_artifact: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Replies in each host, as files beside the questions."""
    asked = [
        {"text": text, "options": {"thinking": thinking, "maxTokens": TOKENS, "sampling": {"temperature": 0}}}
        for text in questions()
        for thinking in (True, False)
    ]
    file = tmp_path_factory.mktemp("greedy") / "questions.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    environment = os.environ | {"THINKPORT_ARTIFACT": str(nano_artifact), "THINKPORT_GREEDY": str(file)}
    subprocess.run([*npx(), "vitest", "run", "tests/greedy.test.ts"], cwd=ENGINE, env=environment, check=False)
    return file, asked


@pytest.mark.long
@pytest.mark.parametrize("host", HOSTS)
def test_greedy_replies_have_the_same_ids(
    host: str, outcomes: tuple[Path, list[dict[str, Any]]], nano_artifact: Path
) -> None:
    file, asked = outcomes
    found = Path(f"{file}.{host}")
    if not found.is_file():
        pytest.skip(f"no replies of {host}: no Chromium, or it gives no such device")
    data = json.loads(found.read_text(encoding="utf-8"))
    model, ties = model_of(nano_artifact, data["report"]["graph"]), 0
    for one, theirs in zip(asked, data["replies"], strict=True):
        prompt, ours = reply_ids(model, one)
        if ours == theirs:
            continue
        same = next((at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(map(len, (ours, theirs))))
        between = gap(model, [*prompt, *ours[:same]])
        print(f"{host}: {one['text']!r} parts at token {same}, where the best two are {between:.1e} apart")
        assert between < TIE, f"{host} gives {theirs[same:][:5]} after {same} tokens, Python {ours[same:][:5]}"
        ties += 1
    print(f"{host} ({data['report']['graph']}): {len(asked) - ties} of {len(asked)} replies alike, {ties} part at near ties")
