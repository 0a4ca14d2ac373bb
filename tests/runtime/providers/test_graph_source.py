"""A model that began on the CPU takes the graph that trials found faster, between replies; a lost device comes back."""

import asyncio
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from tests.runtime.engine.test_closing_in_signals import greedy
from tests.runtime.providers.test_provider_choice import CPU, GRAPHS
from tests.runtime.providers.test_trials import Trialled, of

from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.model import Model
from thinkport.runtime.providers.graph_source import GraphSource, LoadedGraph
from thinkport.runtime.providers.provider_report import Attempt, Outcome, ProviderReport
from thinkport.runtime.providers.trial_record import TrialOutcome
from thinkport.runtime.server.jobs import Places


@pytest.fixture
def bench(tmp_path: Path) -> Trialled:
    return Trialled(tmp_path)


def source_of(bench: Trialled, provider: str = "auto") -> GraphSource:
    return GraphSource(bench.choice, GRAPHS, provider, bench.open, lambda: None)


def test_a_graph_that_trials_find_faster_is_loaded_once_they_are_through(bench: Trialled) -> None:
    source = source_of(bench)
    first = source.load()
    assert first.graph == "cpu.onnx"
    assert source.review(first.report) is None  # they go on
    bench.run(cpu=(100, 10), dml=(800, 40))
    second = source.review(first.report)
    assert isinstance(second, LoadedGraph)
    assert second.graph == "dml.onnx"
    assert "40 tokens/s" in second.report.reason
    assert source.review(second.report) is None
    assert source.reload().graph == "dml.onnx"


def test_a_card_that_is_slower_changes_only_what_is_said(bench: Trialled) -> None:
    source = source_of(bench)
    first = source.load()
    bench.run(cpu=(300, 30), dml=(90, 7.5))
    found = source.review(first.report)
    assert isinstance(found, ProviderReport)
    assert bench.opened == ["cpu.onnx"]
    assert "a reply takes dml.onnx 3.9 times as long" in found.reason
    assert of(found, "dml.onnx")[0] is Outcome.SLOWER
    assert [one.graph for one in found.attempts].count("dml.onnx") == 1
    assert not found.trying
    assert source.reload().report == found


def test_trials_in_which_nothing_was_right_change_nothing(bench: Trialled) -> None:
    source = source_of(bench)
    first = source.load()
    ended = TrialOutcome.ENDED
    bench.run(cpu=ended, dml=ended, dml_plain=ended)
    found = source.review(first.report)
    assert isinstance(found, ProviderReport)
    assert found.chosen
    assert found.chosen.graph == "cpu.onnx"


def test_what_is_loaded_goes_on_where_the_artifact_is_gone_by_then(bench: Trialled) -> None:
    source = source_of(bench)
    first = source.load()
    bench.run(cpu=(100, 10), dml=(800, 40))
    (bench.folder / "thinkport.json").unlink()
    found = source.review(first.report)
    assert isinstance(found, ProviderReport)
    assert not found.trying
    assert found.chosen == first.report.chosen
    assert "can't be taken" in of(found, "dml.onnx")[1]


@pytest.mark.parametrize(("provider", "graph"), [("auto", "cpu.onnx"), ("dml", None)])
def test_a_card_that_is_gone_leaves_auto_the_cpu_and_a_name_an_error(
    bench: Trialled, provider: str, graph: str | None
) -> None:
    bench.run(cpu=(100, 10), dml=(800, 40))
    source = source_of(bench, provider)
    assert source.load().graph == "dml.onnx"
    bench.load_faults["dml.onnx"] = ArtifactError("no such device")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if graph is None:
            with pytest.raises(ArtifactError, match="no such device"):
                source.reload()
        else:
            assert source.reload().graph == graph


TRYING = ProviderReport(
    asked="auto",
    build="made up",
    attempts=(
        Attempt(graph="cpu.onnx", provider=CPU, outcome=Outcome.CHECKED, reason="right"),
        Attempt(graph="dml.onnx", provider="Dml", outcome=Outcome.TRYING, reason="goes on"),
    ),
)
FASTER = replace(TRYING, attempts=TRYING.attempts[:1])


@pytest.fixture
def trying(new_model) -> Model:
    model = new_model("hi", "you")
    model.provider_report = TRYING
    return model


def test_a_chat_goes_on_over_the_faster_graph(trying: Model) -> None:
    chat, before = trying.chat(settle=False), trying.session
    assert chat.send("a").answer == "hi"
    assert not trying.refresh()  # trials go on
    assert trying.session is before
    trying._source.found = LoadedGraph(trying._source.reload().session, "dml.onnx", FASTER)  # type: ignore
    assert trying.refresh()
    assert trying.session is not before
    assert trying.memory.kv == 0
    assert (trying.kv_source.graph, trying.provider_report) == ("dml.onnx", FASTER)
    assert not trying.refresh()
    assert chat.send("b").answer == "you"


def test_a_reply_that_runs_ends_with_an_error_and_the_next_goes_on(trying: Model) -> None:
    chat = trying.chat(settle=False)
    reply = chat.stream("a")
    next(reply)
    trying._source.found = LoadedGraph(trying._source.reload().session, "dml.onnx", FASTER)  # type: ignore
    assert trying.refresh()
    with pytest.raises(InputError):
        list(reply)
    assert chat.send("a").answer == "hi"


def test_a_lost_device_is_loaded_again(trying: Model) -> None:
    before = trying.session
    before.lost = "the device was lost"
    assert trying.stale
    assert trying.refresh()
    assert trying.session is not before
    assert not trying.stale


def test_a_lost_device_that_can_not_be_loaded_again_at_once_is_later(trying: Model) -> None:
    chat, back = trying.chat(settle=False), trying._source.reload  # type: ignore[union-attr]
    trying.session.lost = "the device was lost"
    trying._source.reload = driver_restarts  # type: ignore
    for _ in range(2):
        assert trying.stale
        with pytest.raises(ArtifactError, match="the driver restarts"):
            trying.refresh()
    trying._source.reload = back  # type: ignore
    assert trying.refresh()
    assert not trying.stale
    assert chat.send("a").answer == "hi"


def driver_restarts() -> LoadedGraph:
    raise ArtifactError("the driver restarts")


def test_a_closed_or_unloaded_model_has_nothing_to_refresh(trying: Model) -> None:
    trying.unload()
    assert not trying.stale
    trying.close()
    assert not trying.refresh()


def one_token(engine: Engine) -> bool:
    """Whether an engine runs."""
    return bool(list(engine.generate([1, 2, 3], greedy(), max_tokens=1)))


def test_a_server_takes_the_faster_graph_while_no_reply_runs(trying: Model) -> None:
    async def serve() -> None:
        places, session = Places(trying, 2, 5), trying._source.reload().session  # type: ignore[union-attr]
        first = await places.take([1, 2])
        trying._source.found = LoadedGraph(session, "dml.onnx", FASTER)  # type: ignore[union-attr]
        second = await places.take([3])
        assert trying.session is not session  # a reply runs
        places.give_back(first, 0.1)
        places.give_back(second, 0.1)
        engines = await asyncio.gather(*(places.take([n]) for n in range(2)))
        assert trying.session is session
        assert len(set(engines)) == 2
        assert all(map(one_token, engines))

    asyncio.run(serve())


def test_a_server_comes_back_after_its_device_was_lost(trying: Model) -> None:
    async def serve() -> None:
        places, before = Places(trying, 1, 5), trying.session
        places.give_back(await places.take([1]), 0.1)
        before.lost = "the device was lost"
        engine = await places.take([1])
        assert trying.session is not before
        assert one_token(engine)

    asyncio.run(serve())


def test_a_server_comes_back_after_its_device_could_not_be_loaded_again_at_once(trying: Model) -> None:
    async def serve() -> None:
        places, back = Places(trying, 1, 5), trying._source.reload  # type: ignore[union-attr]
        trying.session.lost = "the device was lost"
        trying._source.reload = driver_restarts  # type: ignore
        for _ in range(2):
            with pytest.raises(ArtifactError, match="the driver restarts"):
                await places.take([1])
        trying._source.reload = back  # type: ignore
        assert one_token(await places.take([1]))

    asyncio.run(serve())
