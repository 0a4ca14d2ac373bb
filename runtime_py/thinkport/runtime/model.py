"""An artifact, loaded: the one object that embedders hold. Everything it does is done elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from thinkport.runtime.chat import Chat
from thinkport.runtime.engine import Engine
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End, Event
from thinkport.runtime.manifest import Graph, Manifest, check_files, read_manifest
from thinkport.runtime.ort import AUTO, choose_graph, import_onnxruntime
from thinkport.runtime.prompt import encode_messages
from thinkport.runtime.reply import last_of, stream_reply
from thinkport.runtime.sampling import Sampler, SamplingSettings
from thinkport.runtime.session import LaneSource, Session
from thinkport.runtime.template import ChatTemplate, Message
from thinkport.runtime.reply_splitter import Opening, ReplySplitter, opening, switched
from thinkport.runtime.tokenizer import Tokenizer

Tools = Sequence[Mapping[str, Any]]
Sampling = SamplingSettings | Mapping[str, Any]


class Model:
    """A loaded artifact. One model serves many chats; close it, or use it as a context manager, to free its memory."""

    def __init__(self, manifest: Manifest, tokenizer: Tokenizer, template: ChatTemplate, session: LaneSource):
        """Put a model together from its parts; `Model.load` is the way from an artifact."""
        self.manifest, self.tokenizer, self.template = manifest, tokenizer, template
        self._session: LaneSource | None = session
        self._engines: WeakSet[Engine] = WeakSet()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        provider: str = AUTO,
        threads: int | None = None,
        verify: bool = False,
        graph: str | None = None,
    ) -> Self:
        """Load an artifact folder.

        `provider` is `auto`, a target of the artifact (`cpu`) or an ONNX Runtime provider; `graph` names a graph file
        instead of the preferred one. `threads` defaults to the physical cores that the process may use. `verify`
        computes every file's sha256 first; sizes are always compared.

        Raises:
            ArtifactError: the folder is not a whole artifact, or nothing in it runs with the installed ONNX Runtime.
            MissingExtraError: no ONNX Runtime is installed.
            InputError: an unknown provider, graph or number of threads.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        check_files(folder, manifest, verify=verify)
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}, expected 1 or more, or nothing for all physical cores")
        graphs = _graphs_named(manifest.graphs, graph)
        ort = import_onnxruntime("cpu" if provider == AUTO else graphs[0].target)
        chosen = choose_graph(graphs, provider, ort.get_available_providers(), ort.__version__)
        tokenizer = Tokenizer.from_file(folder / manifest.tokenizer)
        template = ChatTemplate.from_file(folder / manifest.chat_template, manifest.special_tokens)
        return cls(manifest, tokenizer, template, Session(ort, folder, chosen, manifest.model, threads))

    @property
    def session(self) -> LaneSource:
        """The loaded graph.

        Raises:
            InputError: the model was closed.
        """
        if self._session is None:
            raise InputError("the model is closed: load it again")
        return self._session

    def engine(self) -> Engine:
        """A token loop of its own, with a KV cache of its own."""
        engine = Engine(self.session)
        self._engines.add(engine)
        return engine

    def chat(
        self, *, system: str | None = None, enable_thinking: bool | None = None, tools: Tools | None = None
    ) -> Chat:
        """A new conversation; what is set here holds for every turn that does not say otherwise."""
        return Chat(self, system=system, enable_thinking=enable_thinking, tools=tools)

    def render(
        self,
        messages: Sequence[Message],
        tools: Tools | None = None,
        enable_thinking: bool | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The prompt's text, byte for byte what transformers' `apply_chat_template` gives."""
        return self.template.render(
            messages, tools=tools, enable_thinking=enable_thinking, add_generation_prompt=add_generation_prompt
        )

    def encode(
        self, messages: Sequence[Message], tools: Tools | None = None, enable_thinking: bool | None = None
    ) -> list[int]:
        """The prompt's ids, generation prompt included; added tokens spelled by a message are plain text."""
        return encode_messages(self.tokenizer, self.template, messages, tools=tools, enable_thinking=enable_thinking)

    def sampling(self, sampling: Sampling | None, enable_thinking: bool | None) -> SamplingSettings:
        """The mode's preset, with the values of a mapping in place of its own; settings are taken as they are."""
        if isinstance(sampling, SamplingSettings):
            return sampling
        presets = self.manifest.sampling
        thinks = self.manifest.thinking is not None and enable_thinking is not False
        return SamplingSettings.from_preset(presets.thinking if thinks else presets.answering).override(sampling or {})

    def stream(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        tools: Tools | None = None,
        enable_thinking: bool | None = None,
        max_tokens: int | None = None,
        sampling: Sampling | None = None,
        seed: int | None = None,
        engine: Engine | None = None,
    ) -> Iterator[Event]:
        """Events of one reply to a user's text or to messages; closing the iterator ends it.

        `sampling` replaces the mode's preset, or single values of it if it is a mapping. `engine` brings a KV cache to
        go on from. Checks are made on the call, before the first event.

        Raises:
            InputError: a request that can't be run.
        """
        prompt_ids = self.encode(_messages(prompt, system), tools, enable_thinking)
        begin = switched(opening(prompt_ids, self.manifest.thinking, self.tokenizer), enable_thinking)
        settings = self.sampling(sampling, enable_thinking)
        engine = engine or self.engine()
        tokens = engine.generate(
            prompt_ids,
            Sampler(settings, seed=seed, banned=self._markers() if begin is Opening.ANSWERING else ()),
            stop_ids=self.manifest.stop_ids,
            max_tokens=max_tokens,
        )
        splitter = ReplySplitter(self.tokenizer, self.manifest.thinking, begin)
        return stream_reply(engine, len(prompt_ids), tokens, splitter)

    def generate(self, prompt: str | Sequence[Message], **options: Any) -> End:
        """The whole reply to a user's text or to messages; the options are those of `stream`."""
        return last_of(self.stream(prompt, **options))

    def close(self) -> None:
        """Free the graph, its weights and every KV cache; chats and engines of this model can't be used any more."""
        self._session = None
        for engine in list(self._engines):
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _markers(self) -> tuple[int, ...]:
        """Ids that would open or close a thought: off means off."""
        thinking = self.manifest.thinking
        return (thinking.start, thinking.end) if thinking else ()


def _messages(prompt: str | Sequence[Message], system: str | None) -> list[Message]:
    lead: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    return lead + ([{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt))


def _graphs_named(graphs: list[Graph], name: str | None) -> list[Graph]:
    named = [graph for graph in graphs if name is None or graph.file == name]
    if not named:
        raise InputError(f"no graph {name!r} in this artifact, expected one of: {', '.join(g.file for g in graphs)}")
    return named
