"""Embeddings and rerank over HTTP, read by OpenAI's own client and by one that knows nothing."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from time import sleep

import httpx
import numpy as np
import openai
import pytest
from tests.runtime.server.conftest import Served, running

from thinkport.runtime import Model

TEXTS = ["The sky is blue.", "Bread rises by yeast. " * 20, "a"]


@pytest.fixture(scope="module")
def embedder(nano_embedding: Path, exported: Callable[..., Path]) -> Iterator[Model]:
    with Model.load(exported(nano_embedding, precision="fp32")) as model:
        yield model


@pytest.fixture(scope="module")
def ranker(nano_reranker: Path, exported: Callable[..., Path]) -> Iterator[Model]:
    with Model.load(exported(nano_reranker, precision="fp32")) as model:
        yield model


@pytest.fixture(scope="module")
def embedding_server(embedder: Model) -> Iterator[Served]:
    with running(embedder, max_rows=2) as one:
        yield one


@pytest.fixture(scope="module")
def rerank_server(ranker: Model) -> Iterator[Served]:
    with running(ranker, max_rows=2) as one:
        yield one


def post(served: Served, path: str, **body: object) -> httpx.Response:
    return httpx.post(f"{served.url}{path}", json=body, timeout=60)


def told(response: httpx.Response) -> str:
    assert response.status_code == 400
    return str(response.json()["error"]["message"])


def test_openais_client_reads_the_models_own_vectors(embedding_server: Served, embedder: Model) -> None:
    """It asks for base64 by itself, and decodes it."""
    found = embedding_server.client().embeddings.create(model="nano", input=TEXTS)
    np.testing.assert_allclose([one.embedding for one in found.data], embedder.embed(TEXTS), atol=1e-6)
    assert [one.index for one in found.data] == [0, 1, 2]
    tokens = sum(len(embedder.tokenizer.encode(text)) + 1 for text in TEXTS)
    assert (found.usage.prompt_tokens, found.usage.total_tokens, found.model) == (tokens, tokens, "nano")


def test_numbers_and_base64_are_the_same_vector(embedding_server: Served) -> None:
    client = embedding_server.client()
    numbers = client.embeddings.create(model="nano", input="hi there", encoding_format="float").data[0].embedding
    encoded = post(embedding_server, "/v1/embeddings", input="hi there", encoding_format="base64").json()
    decoded = np.frombuffer(base64.b64decode(encoded["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(numbers, decoded, atol=1e-8)


@pytest.mark.parametrize("many", [False, True])
def test_ids_are_embedded_as_their_text(embedding_server: Served, embedder: Model, many: bool) -> None:
    ids = embedder.tokenizer.encode(TEXTS[0])
    asked = [ids, ids] if many else ids
    found = embedding_server.client().embeddings.create(model="nano", input=asked).data
    assert len(found) == (2 if many else 1)
    np.testing.assert_allclose(found[-1].embedding, embedder.embed(TEXTS[:1])[0], atol=1e-6)


def test_dimensions_and_an_instruction_are_taken(embedding_server: Served, embedder: Model) -> None:
    found = embedding_server.client().embeddings.create(
        model="nano", input=TEXTS[0], dimensions=16, extra_body={"instruction": "Find it."}
    )
    expected = embedder.embed(TEXTS[:1], dimensions=16, instruction="Find it.")
    np.testing.assert_allclose(found.data[0].embedding, expected[0], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": []}, "there is no text to embed"),
        ({"input": ""}, "text 1 of 1 is empty"),
        ({"input": ["a", ""]}, "text 2 of 2 is empty"),
        ({"input": "a", "dimensions": 257}, "dimensions is 257, expected 1 to 256"),
        ({"input": [600]}, "id 600 is outside the vocabulary"),
        ({"input": "word " * 9000}, "tokens, and there is room for 8190"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "dimension": 9}, "did you mean 'dimensions'"),
        ({"input": ["a"] * 2049}, "expected at most 2048"),
        ({}, "input"),
    ],
)
def test_what_cannot_be_embedded_is_a_400(embedding_server: Served, body: dict[str, object], words: str) -> None:
    assert words in told(post(embedding_server, "/v1/embeddings", **body))
    assert embedding_server.idle()


def test_another_task_is_a_400_that_says_what_to_take(
    embedding_server: Served, rerank_server: Served, served: Served
) -> None:
    with pytest.raises(openai.BadRequestError, match="for embeddings, export a checkpoint such as Qwen3-Embedding"):
        served.client().embeddings.create(model="nano", input="hi")
    with pytest.raises(openai.BadRequestError, match=r"embeds texts .*POST /v1/embeddings.*: for replies"):
        embedding_server.client().chat.completions.create(model="nano", messages=[{"role": "user", "content": "hi"}])
    assert "to rerank, export" in told(post(embedding_server, "/v1/rerank", query="a", documents=["b"]))
    assert "for embeddings" in told(post(rerank_server, "/v1/embeddings", input="a"))


def test_another_models_name_is_a_404(embedding_server: Served) -> None:
    assert post(embedding_server, "/v1/embeddings", input="a", model="other").status_code == 404


def test_documents_come_back_best_first(rerank_server: Served, ranker: Model) -> None:
    query = "What colour has the sky?"
    found = post(rerank_server, "/v1/rerank", query=query, documents=TEXTS, model="nano").json()
    scores = ranker.rerank(query, TEXTS)
    assert [one["index"] for one in found["results"]] == sorted(range(3), key=lambda at: -scores[at])
    for one in found["results"]:
        assert one["relevance_score"] == pytest.approx(scores[one["index"]], abs=1e-6)
        assert "document" not in one
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 3 * 50


def test_the_best_few_come_with_their_documents_if_asked_for(rerank_server: Served, ranker: Model) -> None:
    documents: list[object] = [{"text": text} for text in TEXTS]
    body = {"query": "bread", "documents": documents, "top_n": 1, "return_documents": True, "instruction": "Find it."}
    (best,) = post(rerank_server, "/v1/rerank", **body).json()["results"]
    scores = ranker.rerank("bread", TEXTS, instruction="Find it.")
    assert best["index"] == int(np.argmax(scores))
    assert best["document"] == {"text": TEXTS[best["index"]]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"query": "a", "documents": []}, "there is no document to score"),
        ({"query": " ", "documents": ["a"]}, "the query is empty"),
        ({"query": "a", "documents": ["a", " "]}, "document 2 of 2 is empty"),
        ({"query": "a", "documents": ["word " * 9000]}, "the prompt of document 1 has"),
        ({"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
        ({"query": "a"}, "documents"),
    ],
)
def test_what_cannot_be_scored_is_a_400(rerank_server: Served, body: dict[str, object], words: str) -> None:
    assert words in told(post(rerank_server, "/v1/rerank", **body))
    assert rerank_server.idle()


def test_health_and_the_description_name_the_task_and_the_paths(embedding_server: Served) -> None:
    assert httpx.get(f"{embedding_server.url}/health").json()["task"] == "embedding"
    paths = httpx.get(f"{embedding_server.url}/openapi.json").json()["paths"]
    assert {"/v1/embeddings", "/v1/rerank"} <= paths.keys()


def test_many_clients_at_once_get_their_own_vectors(embedding_server: Served, embedder: Model) -> None:
    found: dict[int, list[float]] = {}

    def ask(number: int) -> None:
        body = post(embedding_server, "/v1/embeddings", input=f"text number {number}", encoding_format="float").json()
        found[number] = body["data"][0]["embedding"]

    threads = [Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number, vector in found.items():
        np.testing.assert_allclose(vector, embedder.embed([f"text number {number}"])[0], atol=1e-6)
    assert len(found) == 12


def test_a_client_that_hangs_up_frees_its_place_at_the_next_step(embedder: Model) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(running(embedder, max_rows=1))
        allowed = one.step_by_step(1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{one.url}/v1/embeddings", json={"input": [f"text {n}" for n in range(500)]}, timeout=1)
        while not (places := one.service.jobs.places).active:
            sleep(0.01)
        assert places.active == 1
        (stop,) = one.service.jobs._working.values()
        while not stop.cancelled:  # once writing told that nobody reads
            sleep(0.01)
        allowed.release(8)  # far fewer than 500 texts take
        assert one.idle()
        allowed.release(1000)
        assert post(one, "/v1/embeddings", input="hi").status_code == 200
