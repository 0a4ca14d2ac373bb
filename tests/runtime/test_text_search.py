"""Embedding and reranking over a fake graph: what is run, what is kept between texts, and what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import FakeLane, FakeSession

from thinkport.runtime import InputError, Model, Stop
from thinkport.runtime.artifact.manifest import Embedding, Reranking
from thinkport.runtime.text_ranking import pair_prompt, relevance

EMBEDDING = Embedding(
    dimensions=300,
    prompt="Instruct: {instruction}\nQuery:",
    instruction="Find it.",
    document_prompt="",
    start_ids=[],
    end_ids=[256],
)
RERANKING = Reranking(
    prefix="<|im_start|>user\n",
    body="<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
    suffix="<|im_end|>\n<|im_start|>assistant\n",
    instruction="Find it.",
    yes_id=70,
    no_id=80,
)
NewModel = Callable[..., Model]


@pytest.fixture
def embedder(new_model: NewModel) -> Model:
    return new_model(manifest={"embedding": EMBEDDING}, context_length=64)


@pytest.fixture
def ranker(new_model: NewModel) -> Model:
    return new_model(manifest={"reranking": RERANKING}, context_length=200)


def session_of(model: Model) -> FakeSession:
    assert isinstance(model.session, FakeSession)
    return model.session


def test_a_vector_is_the_row_behind_the_end_token_and_has_length_1(embedder: Model) -> None:
    lane = FakeLane(FakeSession(), 1)
    expected = lane.step(np.array([[*embedder.tokenizer.encode("hi"), 256]]))[0, -1]
    found = embedder.embed(["hi"])
    assert found.shape == (1, 300)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-6)


def test_an_instruction_stands_in_front_of_a_query(embedder: Model) -> None:
    query = embedder.embed(["hi"], instruction="Look.")
    np.testing.assert_array_equal(query, embedder.embed(["Instruct: Look.\nQuery:hi"]))
    assert not np.array_equal(query, embedder.embed(["hi"]))


def test_an_instruction_with_braces_is_taken_as_it_is(embedder: Model) -> None:
    braces = "{query} {instruction} {0}"
    found = embedder.embed(["hi"], instruction=braces)
    np.testing.assert_array_equal(found, embedder.embed([f"Instruct: {braces}\nQuery:hi"]))


def test_the_instruction_of_queries_is_run_once(embedder: Model) -> None:
    encode = embedder.tokenizer.encode
    embedder.embed(["abc", "xyz"], instruction="Look.")
    assert sum(session_of(embedder).steps) == len(encode("Instruct: Look.\nQuery")) + 2 * (1 + 3 + 1)


def test_what_documents_have_in_common_by_chance_is_not_kept(embedder: Model) -> None:
    """Or a vector would depend, by rounding, on the text that was embedded before."""
    embedder.embed(["same abc", "same xyz"])
    assert sum(session_of(embedder).steps) == 2 * (8 + 1)


@pytest.mark.parametrize(
    ("texts", "options", "told"),
    [
        ("hi", {}, "texts is one text, expected a list"),
        ([], {}, "no text to embed"),
        (None, {}, "texts is NoneType, expected a list"),
        (["hi", None], {}, "text 2 is NoneType, expected a text or a list of ids"),
        (["hi", ""], {}, "text 2 of 2 is empty"),
        (["hi", []], {}, "text 2 of 2 is empty"),
        ([" \n"], {}, "text 1 of 1 is empty"),
        (["a"], {"instruction": "x" * 99, "truncate": True}, "shorten the instruction or the query"),
        (["x" * 63], {}, "text 1 has 63 tokens, and there is room for 62"),
        (["hi"], {"dimensions": 0}, "dimensions is 0, expected 1 to 300"),
        (["hi"], {"dimensions": 301}, "dimensions is 301, expected 1 to 300"),
        (["hi"], {"dimensions": True}, "dimensions is True"),
        ([[9, 300]], {}, "id 300 is outside the vocabulary of 300"),
    ],
)
def test_what_cannot_be_embedded_is_refused(embedder: Model, texts: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        embedder.embed(texts, **options)
    assert session_of(embedder).steps == []


def test_a_long_text_loses_its_end_where_that_is_asked_for(embedder: Model) -> None:
    np.testing.assert_array_equal(embedder.embed(["x" * 99], truncate=True), embedder.embed(["x" * 62]))


def test_a_cancelled_stop_ends_it(embedder: Model) -> None:
    stop = Stop()
    stop.cancel()
    with pytest.raises(InputError, match="stopped before all texts were read"):
        embedder.embed(["hi"], stop=stop)


def test_scores_come_in_the_order_of_the_documents(ranker: Model) -> None:
    found = ranker.rerank("hi", ["one", "two", "one"])
    assert found[0] == found[2]
    assert all(type(score) is float and 0 <= score <= 1 for score in found)


def test_documents_share_the_prompt_up_to_them(ranker: Model) -> None:
    ranker.rerank("hi", ["one", "two"])
    pair = RERANKING.body.format(instruction="Find it.", query="hi", document="one")
    whole = len(ranker.tokenizer.encode(RERANKING.prefix + pair + RERANKING.suffix))
    behind = len(ranker.tokenizer.encode(" two" + RERANKING.suffix))
    assert whole <= sum(session_of(ranker).steps) <= whole + behind + 1


def test_a_document_cannot_open_a_turn(ranker: Model) -> None:
    end = ranker.tokenizer.added["<|im_end|>"]
    opened, plain = (
        pair_prompt(ranker.tokenizer, RERANKING, "hi", text, "Find it.").ids for text in ("<|im_end|>", "a")
    )
    assert opened.count(end) == plain.count(end) == 1


def test_braces_of_a_query_or_document_are_text(ranker: Model) -> None:
    ids = pair_prompt(ranker.tokenizer, RERANKING, "{document}", "{query} {0}", "{x}").ids
    assert "<Instruct>: {x}\n<Query>: {document}\n<Document>: {query} {0}<|im_end|>" in ranker.tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("query", "documents", "told"),
    [
        (" ", ["a"], "the query is empty"),
        ("a", "abc", "documents is one text, expected a list"),
        ("a", [], "no document to score"),
        ("a", None, "documents is NoneType, expected a list"),
        ("a", ["b", 5], "document 2 is int, expected a text"),
        (None, ["b"], "the query is NoneType, expected a text"),
        ("a", ["b", "\n"], "document 2 of 2 is empty"),
        ("a", ["b", "x" * 200], "the prompt of document 2 has .* tokens, and there is room for"),
    ],
)
def test_what_cannot_be_scored_is_refused(ranker: Model, query: str, documents: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        ranker.rerank(query, documents)
    assert session_of(ranker).steps == []


def test_a_long_document_loses_its_end_where_that_is_asked_for(ranker: Model) -> None:
    (score,) = ranker.rerank("a", ["x" * 900], truncate=True)
    assert 0 <= score <= 1
    with pytest.raises(InputError, match="shorten the instruction or the query"):
        ranker.rerank("a" * 900, ["x"], truncate=True)


@pytest.mark.parametrize(("yes", "no", "score"), [(0.0, 0.0, 0.5), (1e4, -1e4, 1.0), (-1e4, 1e4, 0.0)])
def test_a_score_is_a_softmax_of_two_that_never_overflows(yes: float, no: float, score: float) -> None:
    logits = np.zeros(90, np.float32)
    logits[[70, 80]] = yes, no
    assert relevance(logits, RERANKING) == pytest.approx(score, abs=1e-12)


def test_each_task_says_what_the_artifact_is_for_and_what_to_take(
    new_model: NewModel, embedder: Model, ranker: Model
) -> None:
    chat = new_model("hi")
    for call, told in (
        (lambda: chat.embed(["hi"]), "writes replies .*: for embeddings, export a checkpoint such as Qwen3-Embedding"),
        (lambda: chat.rerank("a", ["b"]), "writes replies .*: to rerank, export .* with --task rerank"),
        (lambda: ranker.embed(["hi"]), "scores documents for a query .*: for embeddings"),
        (lambda: embedder.rerank("a", ["b"]), "embeds texts .*: to rerank"),
        (embedder.chat, "embeds texts .*thinkport embed.*: for replies"),
        (lambda: embedder.generate("hi"), "embeds texts .*: for replies"),
        (lambda: embedder.score("hi there"), "embeds texts .*: for replies"),
        (ranker.chat, "scores documents for a query .*: for replies"),
    ):
        with pytest.raises(InputError, match=told):
            call()
