"""A graph part by part says what it says in one session: every target's form, prefill, decoding and continuing."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from tests.export.certify.test_graph_parts import decoder

from thinkport.export.certify import greedy
from thinkport.export.certify.cpu_session import CpuSession, cpu_session, graph_for_cpu
from thinkport.export.certify.graph_parts import GraphPart, cut
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.certify.parted_session import LOADED, PartSessions
from thinkport.export.reference.logits import Ids, Logits
from thinkport.runtime.artifact.manifest import Manifest, read_manifest
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.providers.golden_check import golden_rows
from thinkport.runtime.providers.ort import import_onnxruntime

FILES = ("cpu.onnx", "cpu-float32-kv.onnx", "dml.onnx", "dml-plain.onnx", "cuda.onnx")
SAME = 1e-5  # of the largest logit
PLAIN = 0.01  # ONNX Runtime fuses plain float16 norms, but for those that a part begins with: a few steps of the type
DECODED = 4  # tokens of a text that go one by one
Ask = Callable[[int], AbstractContextManager[CpuSession]]


def prompts(manifest: Manifest) -> list[MeasuredText]:
    """Texts at random, new ones each time: shorter than a chunk, a few chunks long, and a single token."""
    random = np.random.default_rng()
    return [
        MeasuredText(name=str(length), ids=random.integers(0, manifest.model.vocab_size, length), rows=rows)
        for length, rows in ((9, np.arange(9)), (70, np.array([3, 40, 41, 66, 69])), (1, np.arange(1)))
    ]


def rows(ask: Ask, whole: int, asked: list[MeasuredText]) -> list[tuple[str, int, Logits]]:
    with ask(whole) as (session, run, _):
        return [(prompt.name, at, found.copy()) for prompt, at, found in golden_rows(session, asked, DECODED, run)]


def check_same(ask: Ask, asked: list[MeasuredText], bound: float = SAME) -> None:
    ours, theirs = rows(ask, 0, asked), rows(ask, 1 << 40, asked)
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert len(ours) == sum(len(prompt.rows) for prompt in asked)
    for (_, _, found), (_, _, expected) in zip(ours, theirs, strict=True):
        assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


def said(ask: Ask, whole: int, asked: list[MeasuredText], guesses: Sequence[Ids] = ()) -> list[list[int]]:
    with ask(whole) as (session, run, _):
        return [text.tolist() for text in greedy.continued(session, [p.ids for p in asked], guesses, run=run)]


@pytest.mark.parametrize("file", FILES)
def test_parts_say_what_the_whole_graph_says(
    nano_checkpoint: Path, exported: Callable[..., Path], tmp_path: Path, file: str
) -> None:
    folder = exported(nano_checkpoint)
    manifest = read_manifest(folder)
    (graph,) = (graph for graph in manifest.graphs if graph.file == file)
    asked = prompts(manifest)
    form = graph_for_cpu(folder, graph, manifest.model)
    ir.save(form.loaded, tmp_path / "whole.onnx")
    shutil.copy(folder / "weights.bin", tmp_path)  # ONNX Runtime follows no link out of the folder
    record = form.graph.model_copy(update={"file": "whole.onnx"})

    def ask(whole: int) -> AbstractContextManager[CpuSession]:
        """In one session for any bound but 0, changed for the CPU or not."""
        if not whole:
            return cpu_session(folder, graph, manifest.model, whole=whole)
        session = Session(import_onnxruntime("cpu"), tmp_path, record, manifest.model)
        return nullcontext(CpuSession(session))

    check_same(ask, asked, bound=PLAIN if graph.plain_norms else SAME)
    continued = said(ask, 0, asked)
    assert [len(text) - len(prompt.ids) for text, prompt in zip(continued, asked, strict=True)] == [24] * 3
    if graph.activations == "float32":
        assert continued == said(ask, 1 << 40, asked)


@pytest.mark.parametrize("several", [True, False], ids=["chunks", "one step"])
@pytest.mark.parametrize("fuse", [True, False], ids=["in place", "appended"])
@pytest.mark.parametrize("right", [24, 23, 12, 0])
def test_a_guess_spares_loading_and_changes_nothing(
    nano_checkpoint: Path,
    exported: Callable[..., Path],
    fuse: bool,
    several: bool,
    right: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = exported(nano_checkpoint, precision="fp32", fuse=fuse)  # rounded, a tie may end otherwise in other chunks
    manifest = read_manifest(folder)
    graph = manifest.graphs[0].model_copy(update={"several_tokens_over_past": several})
    asked = prompts(manifest)[:2]

    def ask(whole: int) -> AbstractContextManager[CpuSession]:
        return cpu_session(folder, graph, manifest.model, whole=whole)

    alone = said(ask, 0, asked)
    guesses = [np.array(text) for text in alone]
    for guess in guesses:
        guess[len(guess) - 24 + right :] = (guess[len(guess) - 24 + right :] + 1) % manifest.model.vocab_size
    loads: list[GraphPart] = []
    load = PartSessions._load

    def counted(self: PartSessions, part: GraphPart) -> object:
        loads.append(part)
        return load(self, part)

    monkeypatch.setattr(PartSessions, "_load", counted)
    assert said(ask, 0, asked, guesses) == alone
    assert len(loads) == 4 * max(1, 24 - right)


def test_a_graph_that_is_not_fused_is_cut_too(nano_checkpoint: Path, exported: Callable[..., Path]) -> None:
    folder = exported(nano_checkpoint, precision="fp32", fuse=False)
    manifest = read_manifest(folder)
    asked = prompts(manifest)

    def ask(whole: int) -> AbstractContextManager[CpuSession]:
        return cpu_session(folder, manifest.graphs[0], manifest.model, whole=whole)

    check_same(ask, asked)
    assert said(ask, 0, asked) == said(ask, 1 << 40, asked)


@pytest.mark.parametrize("fuse", [True, False], ids=["in place", "appended"])
def test_the_runtimes_engine_runs_parts_like_any_session(
    nano_checkpoint: Path, exported: Callable[..., Path], fuse: bool
) -> None:
    folder = exported(nano_checkpoint, precision="fp32", fuse=fuse)
    manifest = read_manifest(folder)
    first, *_, long = np.random.default_rng().integers(0, manifest.model.vocab_size, (3, 40)).tolist()

    def replies(whole: int) -> list[list[int | None]]:
        """A reply, one that goes on from half of it, and one to a restored copy of the KV cache."""
        with cpu_session(folder, manifest.graphs[0], manifest.model, whole=whole) as (session, *_):
            engine, other = Engine(session), Engine(session)
            greedy_settings = SamplingSettings(temperature=0)
            said = [[token.id for token in engine.generate(first, Sampler(greedy_settings), max_tokens=8)]]
            said += [[token.id for token in engine.generate(first[:20] + long, Sampler(greedy_settings), max_tokens=8)]]
            kept = engine.snapshot()
            assert kept is not None
            other.restore(*kept)
            generation = other.generate([*kept[0], 1], Sampler(greedy_settings), max_tokens=8)
            said += [[token.id for token in generation]]
            assert generation.reused == len(kept[0])
            return said

    assert replies(0) == replies(1 << 40)


def test_the_certificate_says_that_a_graph_was_loaded_in_parts_and_leaves_no_file(
    nano_checkpoint: Path, exported: Callable[..., Path]
) -> None:
    folder = exported(nano_checkpoint)
    manifest = read_manifest(folder)
    before = sorted(folder.iterdir())
    cuda = next(graph for graph in manifest.graphs if graph.target == "cuda")
    with cpu_session(folder, cuda, manifest.model, whole=0) as (*_, changed):
        assert changed == "Q/K norms taken out of attention and its layers loaded one at a time"
        assert sorted(folder.iterdir()) == before
    with cpu_session(folder, manifest.graphs[0], manifest.model, whole=0) as (*_, changed):
        assert changed == "its layers loaded one at a time"


def test_a_damaged_weight_is_found_in_its_part(
    nano_checkpoint: Path, exported: Callable[..., Path], tmp_path: Path
) -> None:
    folder = exported(nano_checkpoint)
    manifest = read_manifest(folder)
    (tmp_path / "cpu.onnx").write_bytes((folder / "cpu.onnx").read_bytes())
    (tmp_path / "weights.bin").write_bytes((folder / "weights.bin").read_bytes()[:4096])
    with (
        cpu_session(tmp_path, manifest.graphs[0], manifest.model, whole=0) as (session, run, _),
        pytest.raises(ArtifactError, match=r"a part of the graph over .* can't be loaded"),
    ):
        list(golden_rows(session, prompts(manifest), run=run))


class TestSessions:
    """Which parts stay loaded."""

    def sessions(self, room: int) -> tuple[PartSessions, list[GraphPart], list[GraphPart]]:
        loads: list[GraphPart] = []

        class Counted(PartSessions):
            def _load(self, part: GraphPart) -> Any:
                loads.append(part)
                return super()._load(part)

        return Counted(import_onnxruntime("cpu"), Path(), room), cut(decoder(3))[1:3], loads

    def use_twice(self, sessions: PartSessions, parts: list[GraphPart]) -> None:
        types: dict[str, np.dtype[Any]] = {name: np.dtype(np.float32) for part in parts for name in part.inputs}
        del types["attention_mask"]
        for part in parts * 2:
            with sessions.use(part, types) as loaded:
                assert {value.name for value in loaded.inner.get_inputs()} == set(part.inputs)

    def test_without_room_every_use_loads(self) -> None:
        sessions, parts, loads = self.sessions(0)
        self.use_twice(sessions, parts)
        assert loads == parts * 2

    def test_what_there_is_room_for_is_loaded_once(self) -> None:
        sessions, parts, loads = self.sessions(int(1.5 * LOADED * cut(decoder(3))[1].weights))
        self.use_twice(sessions, parts)
        assert loads == [*parts, parts[1]]

    def test_a_part_is_gone_before_the_next_is_loaded(self) -> None:
        alive: WeakSet[Any] = WeakSet()

        class Inference:
            def __init__(self, *_: object, **__: object) -> None:
                assert not alive
                alive.add(self)

        ort: Any = SimpleNamespace(InferenceSession=Inference, SessionOptions=onnxruntime.SessionOptions)
        sessions = PartSessions(ort, Path())
        for part in cut(decoder(2)):
            with sessions.use(part, {}) as loaded:
                assert len(alive) == 1
        with pytest.raises(KeyError), sessions.use(part, {}):
            raise KeyError
        assert loaded.inner is None
        assert not alive
