"""`thinkport embed` and `thinkport rerank`: lines of texts in, lines of JSON out, one line about what is wrong."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinkport.runtime import Model
from thinkport.runtime.cli.main import main

LINES = "The sky is blue.\n\nBread rises by yeast.\n"


@pytest.fixture(scope="module")
def embedding(nano_embedding: Path, exported: Callable[..., Path]) -> Path:
    return exported(nano_embedding, precision="fp32")


@pytest.fixture(scope="module")
def reranker(nano_reranker: Path, exported: Callable[..., Path]) -> Path:
    return exported(nano_reranker, precision="fp32")


def thinkport(*arguments: object, said: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from thinkport.runtime.cli.main import main; main()", *map(str, arguments)]
    given = said.encode() if isinstance(said, str) else said
    return subprocess.run(command, capture_output=True, input=given, check=False)


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_each_line_of_standard_input_gets_a_vector(embedding: Path) -> None:
    found = lines(thinkport("embed", embedding, "--dimensions", 8, said=LINES))
    assert [(one["index"], one["file"], one["line"]) for one in found] == [(0, "-", 1), (1, "-", 3)]
    with Model.load(embedding) as model:
        expected = model.embed(["The sky is blue.", "Bread rises by yeast."], dimensions=8)
        assert found[0]["tokens"] == len(model.tokenizer.encode("The sky is blue.")) + 1
    np.testing.assert_allclose([one["embedding"] for one in found], expected, atol=1e-6)


def test_files_are_one_text_each_where_that_is_asked_for_and_queries_have_the_instruction(
    embedding: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text(LINES, encoding="utf-8")
    (one,) = lines(thinkport("embed", embedding, file, "--whole", "--query"))
    assert (one["file"], "line" in one) == (str(file), False)
    with Model.load(embedding) as model:
        assert model.manifest.embedding is not None
        expected = model.embed([LINES], instruction=model.manifest.embedding.instruction)[0]
    np.testing.assert_allclose(one["embedding"], expected, atol=1e-6)


def test_documents_come_best_first(reranker: Path) -> None:
    found = lines(thinkport("rerank", reranker, "What makes dough rise?", said=LINES))
    with Model.load(reranker) as model:
        scores = model.rerank("What makes dough rise?", [one for one in LINES.splitlines() if one])
    assert [one["score"] for one in found] == pytest.approx(sorted(scores, reverse=True), abs=1e-6)
    assert [one["index"] for one in found] == sorted(range(2), key=lambda at: -scores[at])
    assert found[0]["document"] == LINES.splitlines()[found[0]["line"] - 1]
    assert len(lines(thinkport("rerank", reranker, "dough", "--top", 1, said=LINES))) == 1


@pytest.mark.parametrize(
    ("arguments", "said", "told"),
    [
        (["embed", "EMBEDDING"], "", "there is no text to embed"),
        (["embed", "EMBEDDING"], b"\xff\xfe", "- is no UTF-8 (invalid start byte at byte 0): convert it first"),
        (["embed", "EMBEDDING", "missing.txt"], "", "missing.txt can't be read: No such file or directory"),
        (["embed", "EMBEDDING", "--dimensions", "999"], "a", "dimensions is 999, expected 1 to 256"),
        (["embed", "EMBEDDING", "--query", "--instruction", "a"], "a", "leave one out"),
        (["embed", "EMBEDDING"], "word " * 9000, "tokens, and there is room for 8190"),
        (["embed", "RERANKER"], "a", "for embeddings, export a checkpoint such as Qwen3-Embedding-0.6B"),
        (["rerank", "EMBEDDING", "a"], "b", "to rerank, export a checkpoint such as Qwen3-Reranker-0.6B"),
        (["rerank", "RERANKER", " "], "b", "the query is empty"),
        (["rerank", "RERANKER", "a"], "", "there is no document to score"),
        (["rerank", "RERANKER", "a", "--top", "0"], "b", "--top is 0, expected 1 or more"),
        (["generate", "EMBEDDING", "hi"], "", "embeds texts (`thinkport embed`"),
        (["chat", "EMBEDDING"], "hi", "embeds texts (`thinkport embed`"),
        (["chat", "RERANKER"], "hi", "scores documents for a query (`thinkport rerank`"),
    ],
)
def test_one_line_says_what_is_wrong(
    embedding: Path,
    reranker: Path,
    arguments: list[str],
    said: str | bytes,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"EMBEDDING": str(embedding), "RERANKER": str(reranker)}
    monkeypatch.setattr(sys, "argv", ["thinkport", *(places.get(one, one) for one in arguments)])
    given = said.encode() if isinstance(said, str) else said
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
    with pytest.raises(SystemExit) as ended:
        main()
    out, errors = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert told in errors
    assert len(errors.splitlines()) == 1
