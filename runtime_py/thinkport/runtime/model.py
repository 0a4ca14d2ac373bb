"""An artifact, loaded: the one object that embedders hold. Everything it does is done elsewhere."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from thinkport.runtime.chat import Chat
from thinkport.runtime.conversation_file import KvSource
from thinkport.runtime.engine import Engine
from thinkport.runtime.errors import InputError
from thinkport.runtime.events import End
from thinkport.runtime.held_sequence import common_prefix
from thinkport.runtime.hub import artifact_folder
from thinkport.runtime.machine_cache import MachineCache, user_cache_folder
from thinkport.runtime.manifest import Graph, Manifest, check_files, fingerprint, read_manifest
from thinkport.runtime.messages import checked
from thinkport.runtime.ort import AUTO, import_onnxruntime, load_libraries
from thinkport.runtime.ort_build import build_of
from thinkport.runtime.pace import Pace
from thinkport.runtime.packed_weights import PackedWeights
from thinkport.runtime.prefill import PrefillWeights
from thinkport.runtime.prefix_cache import PrefixCache
from thinkport.runtime.prompt import Tools, encode_messages
from thinkport.runtime.provider_choice import Machine, ProviderChoice
from thinkport.runtime.provider_report import ProviderReport
from thinkport.runtime.reply import Reply, ReplyRun
from thinkport.runtime.reply_memory import KnownReply, ReplyMemory
from thinkport.runtime.reply_request import OnEnd, ReplyRequest, Sampling, begin_reply
from thinkport.runtime.response_format import ResponseFormat
from thinkport.runtime.sampling import SamplingSettings
from thinkport.runtime.session import LaneSource, Session
from thinkport.runtime.soft_closing import Boundaries
from thinkport.runtime.structure import Grammars
from thinkport.runtime.template import ChatTemplate, Message
from thinkport.runtime.thinking import Switch, Thinking
from thinkport.runtime.tokenizer import Tokenizer
from thinkport.runtime.tool_choice import ToolChoice, ToolUse
from thinkport.runtime.tool_tags import START

PREFIX_CACHE_BYTES = 128 << 20  # 2,300 tokens of 0.6B in int8, a system prompt with a few tools


class Model:
    """A loaded artifact. One model serves many chats; close it, or use it as a context manager, to free its memory."""

    def __init__(
        self,
        manifest: Manifest,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        session: LaneSource,
        *,
        thinking: Thinking | Switch | bool | None = None,
        prefix_cache_bytes: int = PREFIX_CACHE_BYTES,
        drafts: bool = True,
        artifact: str = "",
        graph: str = "",
        provider_report: ProviderReport | None = None,
    ):
        """Put a model together from its parts; `Model.load` is the way from an artifact.

        `artifact` and `graph` are the artifact's fingerprint and the graph's file, which saved KV caches belong to.
        `provider_report` says on which provider it runs and why.
        """
        self.provider_report = provider_report or ProviderReport(asked=AUTO, build="none")
        self.manifest, self.tokenizer, self.template = manifest, tokenizer, template
        self.grammars = Grammars(tokenizer, vocab_size=session.vocab_size, stop_ids=manifest.stop_ids)
        self.kv_source = KvSource(artifact=artifact, graph=graph, layout=session.kv_layout)
        self._prefixes = PrefixCache(prefix_cache_bytes)
        self._pace = Pace()
        self.thinking = self.thinking_of(thinking, Thinking()) or Thinking()
        self.drafts = drafts
        self.replies, self.boundaries = ReplyMemory(), Boundaries(tokenizer)
        self._told: set[str] = set()
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
        thinking: Thinking | Switch | bool | None = None,
        prefix_cache_bytes: int = PREFIX_CACHE_BYTES,
        cache_dir: str | Path | None = AUTO,
        drafts: bool = True,
        keep_prefill: bool = False,
    ) -> Self:
        """Load an artifact: a folder, or `owner/name[@revision]` of the Hub where no folder has that name.

        `provider` is `auto`, a target of the artifact (`cpu`), an ONNX Runtime provider, or a graph without its suffix
        (`dml-plain`). `auto` takes the best that is installed, present and right, which is held against the artifact's
        goldens on its first use on this machine; `provider_report` tells. `graph` names a graph file instead of the
        preferred one. `threads` defaults to the physical cores that the process may use. `verify` computes every file's
        sha256 first; sizes are always compared. `thinking` is the default of every reply.
        `prefix_cache_bytes` limits what is kept of system prompts and tools for other conversations; 0 keeps nothing.
        `cache_dir` is where this machine keeps what it derives from artifacts, so that later loads take less time and
        memory and long prompts run faster; `auto` is the user's cache folder, None keeps nothing of them. Verdicts on
        providers, a few hundred bytes each, lie in the user's cache folder all the same. `keep_prefill` keeps the graph
        for long prompts loaded between them, as a server wants it: faster, for the memory of its weights.
        `drafts` guesses ahead what repeats the prompt or the reply, in every reply that does not say otherwise: the
        same distribution in less time; see `Engine.generate`.

        Raises:
            ArtifactError: the folder is not a whole artifact, nothing in it runs with the installed ONNX Runtime, or
                the Hub does not give it.
            MissingExtraError: no ONNX Runtime is installed.
            InputError: an unknown graph or number of threads, or a provider that can't be had, with the reason.
        """
        folder = artifact_folder(path)
        manifest = read_manifest(folder)
        check_files(folder, manifest, verify=verify)
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}, expected 1 or more, or nothing for all physical cores")
        graphs = _graphs_named(manifest.graphs, graph)
        ort = import_onnxruntime("cpu" if provider == AUTO else graphs[0].target)
        artifact = fingerprint(folder)
        packed = _packed_weights(cache_dir, artifact, manifest)
        prefill = _prefill_weights(cache_dir, folder, artifact, keep=keep_prefill)
        machine = Machine.here(build_of(ort), missing=load_libraries(ort))
        choice = ProviderChoice(
            folder, manifest, machine, lambda one: Session(ort, folder, one, manifest.model, threads, packed, prefill)
        )
        with ThreadPoolExecutor(1) as beside:  # ONNX Runtime loads outside of Python's lock, the tokenizer inside
            choosing = beside.submit(choice.choose, graphs, provider)
            tokenizer = Tokenizer.from_file(folder / manifest.tokenizer)
            template = ChatTemplate.from_file(folder / manifest.chat_template, manifest.special_tokens)
            chosen = choosing.result()
        return cls(
            manifest,
            tokenizer,
            template,
            chosen.session,
            thinking=thinking,
            prefix_cache_bytes=prefix_cache_bytes,
            drafts=drafts,
            artifact=artifact,
            graph=chosen.graph.file,
            provider_report=chosen.report,
        )

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
        engine = Engine(self.session, self._prefixes, self._pace)
        self._engines.add(engine)
        return engine

    def chat(
        self,
        *,
        system: str | None = None,
        thinking: Thinking | Switch | bool | None = None,
        tools: Tools | None = None,
        sampling: Sampling | None = None,
        settle: bool = True,
    ) -> Chat:
        """A new conversation; what is set here holds for every turn that does not say otherwise.

        `settle` feeds a finished turn to the KV cache in the idle time after it, as the next turn will need it.
        """
        return Chat(self, system=system, thinking=thinking, tools=tools, sampling=sampling, settle=settle)

    def restore(self, path: str | Path, *, ignore_kv: bool = False) -> Chat:
        """A conversation that `Chat.save` wrote, with its KV cache; see `Chat.restore`."""
        return Chat.restore(self, path, ignore_kv=ignore_kv)

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
        """The prompt's ids, generation prompt included; added tokens spelled by a message are plain text.

        Replies that this model gave keep the ids they were sampled with.

        Raises:
            InputError: a message that templates would leave out, or one that this template refuses.
        """
        return encode_messages(
            self.tokenizer,
            self.template,
            checked(messages),
            tools=tools,
            enable_thinking=enable_thinking,
            replies=self.replies,
        )

    def history(
        self, messages: Sequence[Message], tools: Tools | None = None, enable_thinking: bool | None = None
    ) -> list[int]:
        """Ids that every prompt begins with in which something new follows `messages`; the last are often the model's.

        Templates write the last reply in one way and a reply that was answered in another, so they are asked for the
        latter.
        """
        role = "tool" if messages and messages[-1].get("tool_calls") else "user"
        prompts = [
            self.encode([*messages, {"role": role, "content": text}], tools, enable_thinking) for text in ("a", "1")
        ]
        return prompts[0][: common_prefix(*prompts)]

    def shareable(self, request: ReplyRequest, prompt: Sequence[int]) -> int:
        """How many ids of a request's prompt its system message and tools make, which other conversations may share."""
        system = list(request.messages[:1]) if request.messages[0]["role"] == "system" else []
        if not system and not request.tools:
            return 0
        return common_prefix(prompt, self.history(system, request.tools))

    def sampling(self, sampling: Sampling | None, *, thinks: bool) -> SamplingSettings:
        """The mode's preset, with the values of a mapping in place of its own; settings are taken as they are."""
        if isinstance(sampling, SamplingSettings):
            return sampling
        presets = self.manifest.sampling
        return SamplingSettings.from_preset(presets.thinking if thinks else presets.answering).override(sampling or {})

    def stream(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        tools: Tools | None = None,
        tool_choice: str | Mapping[str, Any] | ToolChoice = ToolUse.AUTO,
        response_format: ResponseFormat | None = None,
        thinking: Thinking | Switch | bool | None = None,
        max_tokens: int | None = None,
        sampling: Sampling | None = None,
        seed: int | None = None,
        drafts: bool | None = None,
        engine: Engine | None = None,
    ) -> Reply:
        """Events of one reply to a user's text or to messages; closing it ends it.

        `thinking` says how it may think; None takes the model's default. `tools` may be called as `tool_choice` has it
        (auto, none, required, or a tool's name), and `response_format` holds the answer to a form. `sampling` replaces
        the mode's preset, or single values of it if it is a mapping. `engine` brings a KV cache to go on from. `drafts`
        False guesses nothing ahead. Checks are made on the call, before the first event.

        Raises:
            InputError: a request that can't be run.
        """
        request = ReplyRequest(
            messages=_messages(prompt, system),
            tools=tools,
            tool_choice=tool_choice,
            response_format=response_format,
            call=self.thinking_of(thinking, self.thinking),
            max_tokens=max_tokens,
            sampling=sampling,
            seed=seed,
            drafts=drafts,
        )
        return self.begin(request, engine or self.engine())

    def begin(self, request: ReplyRequest, engine: Engine, on_end: OnEnd | None = None) -> Reply:
        """The reply to a request; `on_end` is told of its end just before that is yielded."""

        def remember(run: ReplyRun, end: End) -> None:
            self.replies.remember(end.answer, self._known(run))
            if on_end:
                on_end(run, end)

        return begin_reply(self, request, engine, remember)

    def generate(self, prompt: str | Sequence[Message], **options: Any) -> End:
        """The whole reply to a user's text or to messages; the options are those of `stream`."""
        return self.stream(prompt, **options).end()

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

    @staticmethod
    def thinking_of(asked: Thinking | Switch | bool | None, default: Thinking) -> Thinking | None:
        """What a `thinking` argument means over a default: settings as they are, a switch with the default's others."""
        return asked if asked is None or isinstance(asked, Thinking) else replace(default, enabled=asked)

    def first_time(self, subject: str) -> bool:
        """Whether this model was not yet asked about `subject`: what is worth saying once."""
        if subject in self._told:
            return False
        self._told.add(subject)
        return True

    def _known(self, run: ReplyRun) -> KnownReply:
        call = self.tokenizer.added.get(START)
        return KnownReply.of(self._after_header(run.prompt) + run.ids, self.tokenizer, self.manifest.thinking, call)

    def _after_header(self, prompt: list[int]) -> list[int]:
        """What the generation prompt holds of the reply already: a thought that it opened or left out."""
        header = self.tokenizer.encode(self.template.reply_header)
        for at in range(len(prompt) - len(header), -1, -1):
            if prompt[at : at + len(header)] == header:
                return prompt[at + len(header) :]
        return []


def _messages(prompt: str | Sequence[Message], system: str | None) -> list[Message]:
    lead: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    return lead + checked([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt)


def _packed_weights(cache_dir: str | Path | None, artifact: str, manifest: Manifest) -> PackedWeights | None:
    if cache_dir is None:
        return None
    folder = user_cache_folder() if cache_dir == AUTO else Path(cache_dir)
    size = sum(file.bytes for file in manifest.files.values())
    return PackedWeights(cache=MachineCache(folder), artifact=artifact, bytes=size)


def _prefill_weights(cache_dir: str | Path | None, folder: Path, artifact: str, *, keep: bool) -> PrefillWeights | None:
    if cache_dir is None:
        return None
    cache = MachineCache(user_cache_folder() if cache_dir == AUTO else Path(cache_dir))
    return PrefillWeights(folder=folder, artifact=artifact, cache=cache, keep=keep)


def _graphs_named(graphs: list[Graph], name: str | None) -> list[Graph]:
    named = [graph for graph in graphs if name is None or graph.file == name]
    if not named:
        raise InputError(f"no graph {name!r} in this artifact, expected one of: {', '.join(g.file for g in graphs)}")
    return named
