"""From an artifact's folder to what a model is made of, and to its graph once more after that was let go of.

Knows which files make what, and in which order. Must not know chats, or what is done with a model.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypedDict

from thinkport.runtime.artifact.manifest import Graph, Manifest, check_files, fingerprint, read_manifest
from thinkport.runtime.engine.session import LaneSource, Session
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.hub import Progress
from thinkport.runtime.machine.known_files import FilesCheck, KnownFiles
from thinkport.runtime.prompt.control_tokens import control_tokens
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.providers.graph_source import GraphSource
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import Candidate, build_of, extra_of, import_onnxruntime, load_libraries
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.provider_choice import Machine, ProviderChoice
from thinkport.runtime.providers.provider_report import ProviderReport
from thinkport.runtime.providers.trials import Trials
from thinkport.runtime.providers.unrounded import open_unrounded

_HEAD_START = 0.03  # seconds in which ONNX Runtime reads a graph, before it lets go of Python's lock


class LoadStage(StrEnum):
    """What is done to load a model: fetch its files from the Hub, check them, load its graph."""

    FETCH = "fetch"
    CHECK = "check"
    GRAPH = "graph"


@dataclass(frozen=True, kw_only=True)
class LoadProgress:
    """How far a stage of loading has come: bytes `done` of `total`, each 0 where nothing is counted.

    Fetching is told only where the Hub's cache has not everything, checking only of files that have to be hashed. The
    graph's stage has no bytes: ONNX Runtime tells nothing of its own work.
    """

    stage: LoadStage
    done: int = 0
    total: int = 0


OnLoad = Callable[[LoadProgress], object]


def fetching(told: OnLoad) -> Callable[[Progress], None]:
    """What tells of a download from the Hub; called from its threads, one call at a time."""

    def report(fetched: Progress) -> None:
        told(LoadProgress(stage=LoadStage.FETCH, done=fetched.done, total=fetched.total))

    return report


class ModelParts(TypedDict):
    """What a `Model` is put together from. `artifact` is the folder's fingerprint, `graph` the file of its graph.

    `manifest` stops at what the chat template writes after a turn too, which the file may leave out. `files_check` says
    what it cost to hold the files against the manifest.
    """

    manifest: Manifest
    tokenizer: Tokenizer
    template: ChatTemplate
    session: LaneSource
    artifact: str
    graph: str
    provider_report: ProviderReport
    files_check: FilesCheck
    source: GraphSource


def load_artifact(
    folder: Path,
    *,
    provider: str,
    threads: int | None,
    verify: bool,
    graph: str | None,
    kernels: str,
    trust_added_tokens: bool,
    progress: OnLoad,
) -> ModelParts:
    """Load an artifact; the arguments are those of `Model.load`, and so is what it raises."""
    manifest = read_manifest(folder)
    known = KnownFiles()
    total = sum(record.bytes for record in manifest.files.values())

    def hashing(_: str, done: int) -> None:
        progress(LoadProgress(stage=LoadStage.CHECK, done=done, total=total))

    checked = known.check(folder, manifest, anew=verify, on_file=hashing)
    progress(LoadProgress(stage=LoadStage.GRAPH))
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}, expected 1 or more, or nothing for all physical cores")
    graphs = _graphs_named(manifest.graphs, graph)
    ort = import_onnxruntime(extra_of(graphs, provider))
    artifact = fingerprint(folder)
    loading, finished = Event(), Event()

    def open_graph(one: Candidate) -> Session:
        if one.kernels is not None:  # which are this package's own readers of the weights
            check_files(folder, manifest, blocks=True)
        return Session(ort, folder, one.graph, manifest.model, threads, loading.set, *one.place)

    def unrounded(one: Candidate) -> closing[Session]:
        return open_unrounded(ort, folder, one, manifest.model, threads)

    plugins = Plugins(ort)
    own = Kernels.here(kernels)
    machine = Machine.here(build_of(ort), missing=load_libraries(ort), plugins=plugins, kernels=own)
    trials = Trials.here(folder, manifest, machine.build, plugins)
    choice = ProviderChoice(folder, manifest, machine, open_graph, unrounded, trials)
    source = GraphSource(choice, graphs, provider, open_graph, partial(_check_same, folder, artifact))

    # ONNX Runtime lays weights out outside of Python's lock; the tokenizer's library never lets go of it while it
    # reads, half a second for Qwen3's: begun first, it would make the graph wait for all of that. The graph loads in
    # this thread, where Ctrl-C ends a check that takes long.
    def read_words() -> tuple[Tokenizer, ChatTemplate]:
        loading.wait()
        finished.wait(_HEAD_START)
        template = ChatTemplate.from_file(folder / manifest.chat_template, manifest.special_tokens)
        tokenizer = Tokenizer.from_file(folder / manifest.tokenizer).within(manifest.model.vocab_size)
        if trust_added_tokens:
            tokenizer = tokenizer.guarding(control_tokens(tokenizer, template, manifest))
        return tokenizer, template

    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(read_words)
        try:
            loaded = source.load()
        finally:
            finished.set()
            loading.set()
        tokenizer, template = reading.result()
    return ModelParts(
        manifest=_with_turn_end(manifest, tokenizer, template),
        tokenizer=tokenizer,
        template=template,
        session=loaded.session,
        artifact=artifact,
        graph=loaded.graph,
        provider_report=loaded.report,
        files_check=checked,
        source=source,
    )


def _with_turn_end(manifest: Manifest, tokenizer: Tokenizer, template: ChatTemplate) -> Manifest:
    """Stop at what the template writes after a turn too: older exporters took the ids of the configs alone."""
    end = tokenizer.leading(template.after_reply)
    if end is None or end in manifest.stop_ids:
        return manifest
    return manifest.model_copy(update={"stop_ids": [*manifest.stop_ids, end]})


def _check_same(folder: Path, artifact: str) -> None:
    KnownFiles().check(folder, read_manifest(folder))
    if fingerprint(folder) != artifact:
        raise ArtifactError(f"{folder} holds another artifact than before it was unloaded: load it with Model.load")


def _graphs_named(graphs: list[Graph], name: str | None) -> list[Graph]:
    named = [graph for graph in graphs if name is None or graph.file == name]
    if not named:
        raise InputError(f"no graph {name!r} in this artifact, expected one of: {', '.join(g.file for g in graphs)}")
    return named
