"""A loaded artifact: the one object that embedders hold. Each method calls the module that does the work."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Self, Unpack

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import Manifest, Task
from thinkport.runtime.artifact.task_check import check_replies, required_embedding, required_reranking
from thinkport.runtime.artifact_loading import OnLoad, fetching, load_artifact
from thinkport.runtime.chat.chat import Chat, Settle
from thinkport.runtime.chat.conversation_file import KvSource
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.kv_uses import CLOSED, UNLOADED, KvPool
from thinkport.runtime.engine.pace import Pace
from thinkport.runtime.engine.prefix_cache import PrefixCache
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.engine.scheduler import StepFigures
from thinkport.runtime.engine.session import LaneSource, Session
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import InputError, UnavailableError
from thinkport.runtime.events import End
from thinkport.runtime.hub import artifact_folder
from thinkport.runtime.machine.freed_memory import give_back
from thinkport.runtime.machine.known_files import FilesCheck
from thinkport.runtime.prompt.messages import checked
from thinkport.runtime.prompt.template import ChatTemplate, Message
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.providers.graph_source import Graphs, LoadedGraph
from thinkport.runtime.providers.ort import AUTO
from thinkport.runtime.providers.provider_report import ProviderReport
from thinkport.runtime.reply.reply import Reply
from thinkport.runtime.reply.reply_maker import ReplyMaker
from thinkport.runtime.reply.reply_request import ReplyOptions, ReplyRequest, Sampling, check_names
from thinkport.runtime.text_embedding import EmbeddedText, checked_dimensions, embedding_prompts, vectors_of
from thinkport.runtime.text_ranking import ranking_prompts, scores_of
from thinkport.runtime.text_score import TextScore, score
from thinkport.runtime.thinking.thinking import Switch, Thinking, as_thinking
from thinkport.runtime.tools.function_tool import ToolsGiven, described

_PARTS = ("kv_source", "replies", "session")
PREFIX_CACHE_BYTES = 128 << 20  # 2,300 tokens of 0.6B in int8, a system prompt with a few tools


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """What a model's conversations take, in bytes; its weights are not among them.

    kv: the KV caches of its chats and other engines. shared: starts of prompts that are kept for other conversations.
    limit: the most that both may take together, None for no limit.
    """

    kv: int
    shared: int
    limit: int | None


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
        files_check: FilesCheck | None = None,
        memory_limit: int | None = None,
        deterministic: bool = False,
        rows: RowSettings | None = None,
        source: Graphs | None = None,
    ):
        """Put a model together from its parts; `Model.load` is the way from an artifact.

        `artifact` and `graph` are the artifact's fingerprint and the graph's file, which saved KV caches belong to.
        `provider_report` says on which provider it runs and why, `files_check` what the check of the artifact's files
        cost; None without an artifact. `rows` says how replies of several threads share steps. `source` loads the graph
        again after `unload`, or a faster one.
        """
        self.provider_report = provider_report or ProviderReport(asked=AUTO, build="none")
        self.files_check = files_check
        self.manifest, self.tokenizer, self.template = manifest, tokenizer, template
        self.kv_source = KvSource(artifact=artifact, graph=graph, layout=session.kv_layout)
        self._limit, self._pool, self._prefixes = memory_limit, *_memory(memory_limit, prefix_cache_bytes, session)
        self._pace, self._deterministic = Pace(), deterministic and manifest.task is Task.CHAT
        self.replies = ReplyMaker(manifest, tokenizer, template, vocab_size=session.vocab_size, drafts=drafts)
        self.replies.thinking = as_thinking(thinking, Thinking()) or Thinking()
        self._rows = rows or RowSettings()
        self._share_steps(session)
        if manifest.thinking is not None:
            self.replies.checked_width(self.replies.thinking.width)
        self._session: LaneSource | None = session
        self._closed, self._source, self._lost = False, source, False
        self._changing = RLock()  # closing does without: a signal handler may close while its thread reloads

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
        drafts: bool = True,
        kernels: str = AUTO,
        memory_limit: int | None = None,
        trust_added_tokens: bool = True,
        deterministic: bool = False,
        rows: RowSettings | None = None,
        progress: OnLoad | None = None,
    ) -> Self:
        """Load an artifact: a folder, or `owner/name[@revision]` of the Hub where no folder has that name.

        `provider` is `auto`, a target of the artifact (`cpu`), an ONNX Runtime provider, or a graph without its suffix
        (`dml-plain`); a device's number may follow (`dml:1`). `auto` takes the best that is installed, present and
        right: its first use on this machine is checked against the artifact's goldens. `provider_report` says which.
        `graph` names a graph file instead of the preferred one. `threads` defaults to the physical cores that the
        process may use. The first load on a machine computes every file's sha256; later loads compare the file system's
        data and read a few blocks. `verify` computes all of them again. `files_check` has the cost. The model card may
        be edited. `thinking` is the default of every reply.
        `prefix_cache_bytes` limits what is kept of system prompts and tools for other conversations; 0 keeps nothing.
        `kernels` is which of thinkport's own kernels the CPU runs, where the package thinkport-kernels is installed:
        `auto`, the best set that the CPU has; a set's name; or `off`, ONNX Runtime's own.
        `drafts` guesses tokens ahead where text repeats the prompt or the reply, in every reply that does not say
        otherwise: the same distribution in less time; see `Engine.generate`.
        `memory_limit` is the most bytes that the KV caches of all conversations and what is kept of system prompts may
        take together, the latter a quarter of it at most; weights are not counted. A chat that needs room drops the
        caches of idle chats, the longest unused first; those chats compute them again. The limit also bounds the
        context of a single conversation.
        `deterministic` makes a reply the same to the bit whatever the KV cache held before it: prompts run in steps of
        a fixed width, only what such steps ran is kept for another prompt, and no tokens are guessed ahead. thinkport's
        own kernels are so without it, and lose nothing by it. Name a `provider` too: `auto` may find a faster graph.

        `rows` says how many replies of several threads share a step, and what prompts get meanwhile; see `RowSettings`.

        `progress` is told of each stage with bytes, as far as they are known: see `LoadProgress`.

        `trust_added_tokens`: what a message spells of the tokenizer's added tokens is a token, as the model was trained
        on it, unless it is one of those that control a conversation (turns, thoughts, tools, ends). False makes text of
        all of them; choose it where a model takes commands from added tokens that its chat template does not write.

        Raises:
            ArtifactError: the folder is not a whole artifact, a file of it was changed, nothing in it runs with the
                installed ONNX Runtime, or the Hub does not give it.
            MissingExtraError: no ONNX Runtime is installed.
            InputError: an unknown graph or number of threads, a provider or kernels that can't be had, with the
                reason, or a memory limit that holds no conversation.
        """
        told = progress or (lambda _: None)
        parts = load_artifact(
            artifact_folder(path, progress=fetching(told)),
            provider=provider,
            threads=threads,
            verify=verify,
            graph=graph,
            kernels=kernels,
            trust_added_tokens=trust_added_tokens,
            progress=told,
        )
        return cls(
            **parts,
            thinking=thinking,
            prefix_cache_bytes=prefix_cache_bytes,
            memory_limit=memory_limit,
            drafts=drafts,
            deterministic=deterministic,
            rows=rows,
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "" if self.loaded else "unloaded"
        runs = self.provider_report.chosen
        where = state or (f"{runs.graph} on {runs.place}" if runs else "no graph")
        return f"<Model {self.manifest.name}: {self.manifest.task}, {where}>"

    def __dir__(self) -> list[str]:
        """What a completion offers: the parts that it is put together from are for its own package."""
        return [name for name in super().__dir__() if name not in _PARTS]

    @property
    def session(self) -> LaneSource:
        """The loaded graph.

        Raises:
            InputError: the model was closed or unloaded.
        """
        if self._session is None:
            raise UnavailableError(self._gone)
        return self._session

    def engine(self) -> Engine:
        """A token loop of its own, with a KV cache of its own; engines in several threads share their steps."""
        fixed = self._deterministic
        return Engine(self.session, self._prefixes, self._pace, memory=self._pool, deterministic=fixed)

    @property
    def thinking(self) -> Thinking:
        """How its replies think, unless a chat or a call says otherwise."""
        return self.replies.thinking

    @property
    def memory(self) -> MemoryUse:
        """The memory that its conversations take now."""
        return MemoryUse(kv=self._pool.bytes, shared=self._prefixes.bytes, limit=self._limit)

    @property
    def steps(self) -> StepFigures:
        """How many steps ran since the graph was loaded, and how many replies shared them."""
        session = self._session
        return session.scheduler.figures if isinstance(session, Session) else StepFigures()

    @property
    def at_once(self) -> int:
        """How many replies of several threads are best written at a time here: those that share a step.

        Under a memory limit no more than have room for a whole context each.
        """
        session = self.session
        rows = session.scheduler.settings.max_rows if isinstance(session, Session) else 1
        limit, whole = self._pool.limit, session.kv_size.bytes(session.context_length)
        return rows if limit is None else max(1, min(rows, limit // whole))

    @property
    def rows(self) -> RowSettings:
        """How replies of several threads share steps, as it was loaded."""
        return self._rows

    @property
    def loaded(self) -> bool:
        """Whether its graph is in memory: it was neither unloaded nor closed."""
        return self._session is not None

    def chat(
        self,
        *,
        system: str | None = None,
        thinking: Thinking | Switch | bool | None = None,
        tools: ToolsGiven | None = None,
        sampling: Sampling | None = None,
        settle: Settle = None,
    ) -> Chat:
        """A new conversation; what is set here holds for every turn that does not say otherwise.

        `tools` are mappings as OpenAI's interface has them, or functions with annotated parameters; see `tool_of`.
        `settle` feeds an answer to the KV cache as the next turn will need it. True: a long one while it is written,
        the rest in the idle time after it, so that a turn that is sent at once begins at once. `idle`: all of it in
        the idle time, which leaves the reply its speed. None: as True where thinkport's own kernels run, which lose
        little by it, and as `idle` elsewhere. False: nothing.

        Raises:
            InputError: the artifact is for another task, or `settle` is something else.
        """
        check_replies(self.manifest)
        return Chat(self, system=system, thinking=thinking, tools=tools, sampling=sampling, settle=settle)

    def restore(self, path: str | Path, *, ignore_kv: bool = False) -> Chat:
        """A conversation that `Chat.save` wrote, with its KV cache; see `Chat.restore`."""
        return Chat.restore(self, path, ignore_kv=ignore_kv)

    def render(
        self,
        messages: Sequence[Message],
        tools: ToolsGiven | None = None,
        enable_thinking: bool | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        """The prompt's text, byte for byte what transformers' `apply_chat_template` gives."""
        told = described(tools)
        return self.template.render(
            messages, tools=told, enable_thinking=enable_thinking, add_generation_prompt=add_generation_prompt
        )

    def encode(
        self, messages: Sequence[Message], tools: ToolsGiven | None = None, enable_thinking: bool | None = None
    ) -> list[int]:
        """The prompt's ids, generation prompt included; guarded tokens spelled by a message are plain text.

        Replies that this model gave keep the ids they were sampled with.

        Raises:
            InputError: a message that templates would leave out, or one that this template refuses.
        """
        return self.replies.prompt(messages, described(tools), enable_thinking).ids

    def history(
        self, messages: Sequence[Message], tools: ToolsGiven | None = None, enable_thinking: bool | None = None
    ) -> list[int]:
        """Ids that every prompt begins with in which something new follows `messages`."""
        return self.replies.history(messages, described(tools), enable_thinking)

    def sampling(self, sampling: Sampling | None, *, thinks: bool) -> SamplingSettings:
        """The mode's preset, with the values of a mapping in place of its own; settings are taken as they are."""
        return self.replies.sampling(sampling, thinks=thinks)

    def stream(self, prompt: str | Sequence[Message], **options: Unpack[ReplyOptions]) -> Reply:
        """Events of one reply to a user's text or to messages; closing it ends it.

        `ReplyOptions` has the options. Checks are made on the call, before the first event.

        Raises:
            InputError: a request that can't be run.
            TypeError: an option that is unknown.
        """
        check_names(options, ReplyOptions, "a reply")
        engine, stop = options.pop("engine", None), options.pop("stop", None)
        messages = _messages(prompt, options.pop("system", None))
        request = ReplyRequest.of(messages, options, self.thinking)
        return self.replies.begin(self.replies.prepare(request), engine or self.engine(), stop=stop)

    def generate(self, prompt: str | Sequence[Message], **options: Unpack[ReplyOptions]) -> End:
        """The whole reply to a user's text or to messages; the options are those of `stream`."""
        return self.stream(prompt, **options).end()

    def score(
        self,
        text: str | Sequence[int],
        continuation: str | Sequence[int] | None = None,
        *,
        window: int | None = None,
        stride: int | None = None,
        stop: Stop | None = None,
    ) -> TextScore:
        """How likely the model finds a text, or its ids: the log probability of each token after those before it.

        With a `continuation` only its tokens are scored, after `text` as their prompt: the sum and `greedy` are what
        lm-evaluation-harness calls the log-likelihood. No template is put around. The first token of a text alone has
        nothing before it and no score; put a token of your own in front as the prompt to have one. What is longer than
        `window` tokens, by default the context, is scored in windows that predict `stride` tokens each, by default as
        many as fit; a smaller stride gives each token more text before it, for more time. A `stop` that is cancelled
        ends it early; the tokens that were not reached have no log probability.

        Raises:
            InputError: fewer than two tokens, ids outside the vocabulary, a continuation without a token, or a window
                or stride out of range.
        """
        check_replies(self.manifest, to_text=True)
        with closing(self.engine()) as engine:
            return score(engine, self.tokenizer, text, continuation, window=window, stride=stride, stop=stop)

    def embed(
        self,
        texts: Sequence[EmbeddedText],
        *,
        instruction: str | None = None,
        dimensions: int | None = None,
        truncate: bool = False,
        engine: Engine | None = None,
        stop: Stop | None = None,
    ) -> NDArray[np.float32]:
        """The vectors of texts, float32 (texts, dimensions), each of length 1: their products are cosine similarities.

        With an `instruction` the texts are queries for that task (`manifest.embedding.instruction` is the checkpoint's
        own); without one they are documents. A text may be ids, which get no prompt. Fewer `dimensions` are the first
        ones, brought to length 1 again. A text that is too long is refused, or with `truncate` loses its end. The texts
        are read one after the other over the KV cache of `engine`, by default one of their own.

        Raises:
            InputError: the artifact doesn't embed; no text, an empty or too long one; dimensions out of range; ids
                outside the vocabulary; `stop` was cancelled.
        """
        embedding, context = required_embedding(self.manifest), self.session.context_length - 1
        width = checked_dimensions(dimensions, embedding)
        prompts = embedding_prompts(self.tokenizer, embedding, texts, instruction, context=context, truncate=truncate)
        with closing(self.engine()) if engine is None else nullcontext(engine) as used:
            return vectors_of(used, prompts, width, stop)

    def rerank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None = None,
        truncate: bool = False,
        engine: Engine | None = None,
        stop: Stop | None = None,
    ) -> list[float]:
        """How well each document answers a query, from 0 to 1, in the order of the documents.

        `instruction` says in a sentence what is sought; the default is the checkpoint's own. A document that is too
        long is refused, or with `truncate` loses its end. Documents are read one after the other over the KV cache of
        `engine`, which keeps the prompt up to them; by default one of their own.

        Raises:
            InputError: the artifact doesn't rerank; no query, no document, an empty or too long one; `stop` was
                cancelled.
        """
        reranking, pair = required_reranking(self.manifest), (query, documents, instruction)
        context = self.session.context_length - 1
        prompts = ranking_prompts(self.tokenizer, reranking, *pair, context=context, truncate=truncate)
        with closing(self.engine()) if engine is None else nullcontext(engine) as used:
            return scores_of(used, reranking, prompts, stop)

    def unload(self) -> None:
        """Free the graph, its weights and every KV cache until `reload`; from any thread.

        Chats keep their messages and settings. A reply in progress ends with an `InputError` after its step.

        Raises:
            InputError: the model was closed, or put together without an artifact.
        """
        with self._changing:
            if self._source is None or self._closed:
                raise InputError(CLOSED if self._source else "this model has no artifact to be loaded again from")
            self._drop()
            self._lost = False

    def reload(self) -> None:
        """Load the graph again that `unload` freed, or whose device was lost; nothing if it is loaded and can run.

        The next turns compute their KV caches. Where the graph can't be loaded any more, such as on a card that is
        gone, `auto` takes the best that is left.

        Raises:
            ArtifactError: the folder is no longer that artifact, or its graph can't be loaded.
            InputError: the model was closed.
        """
        with self._changing:
            if self._session is not None:
                if self._session.lost is None or self._source is None:
                    return
                self._lost = True
                self._drop()
            if self._source is not None and not self._closed:
                self._take(self._source.reload())
            if self._closed or self._source is None:  # perhaps meanwhile
                self.close()
                raise UnavailableError(CLOSED)

    @property
    def stale(self) -> bool:
        """Whether `refresh` may have something to do: its device was lost, or graphs were being tried.

        A device that was lost stays so until its graph, or another one, was loaded again.
        """
        session = self._session  # which another thread may unload meanwhile
        if session is None:
            return self._lost and not self._closed
        return session.lost is not None or self.provider_report.trying

    def refresh(self) -> bool:
        """Between replies: load the graph again whose device was lost, or a faster one. Return whether one was loaded.

        While `auto` answers with the CPU's graph, trials of others go on beside. Once they are through, this loads the
        one that they found faster, and brings `provider_report` up to date. The next turns compute their KV caches; a
        reply in progress ends with an `InputError`. It does nothing where there is nothing to do, and costs little.

        Raises:
            ArtifactError: the folder is no longer that artifact, or its graph can't be loaded.
        """
        with self._changing:
            if self._source is None or not self.stale:
                return False
            if self._session is None or self._session.lost is not None:
                self.reload()
                return True
            found = self._source.review(self.provider_report)
            if isinstance(found, ProviderReport):
                self.provider_report = found
            if not isinstance(found, LoadedGraph):
                return False
            self._take(found)
            if self._closed:  # meanwhile
                self.close()
            return not self._closed

    def _take(self, loaded: LoadedGraph) -> None:
        """Run every chat and engine over a graph from now on; what the one before had computed is let go of."""
        self._share_steps(loaded.session)
        self._prefixes.clear()
        for uses in self._pool.holders():
            uses.reload(loaded.session)
        self.kv_source = replace(self.kv_source, graph=loaded.graph, layout=loaded.session.kv_layout)
        self._session, self.provider_report, self._lost = loaded.session, loaded.report, False
        give_back()

    def _share_steps(self, session: LaneSource) -> None:
        """A deterministic reply shares none where its logits would depend on the others to the bit."""
        alone = self._deterministic and not session.exact_steps
        rows = replace(self._rows, max_rows=1) if alone else self._rows
        self.replies.max_rows = rows.max_rows
        if isinstance(session, Session):
            session.share_steps(rows)

    def close(self) -> None:
        """Free the graph, its weights and every KV cache; chats and engines of this model can't be used any more."""
        self._closed = True
        self._drop()

    @property
    def _gone(self) -> str:
        return CLOSED if self._closed else UNLOADED

    def _drop(self) -> None:
        self._session = None
        for uses in self._pool.holders():
            uses.close(self._gone)
        self._prefixes.clear()
        give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def _messages(prompt: str | Sequence[Message], system: str | None) -> list[Message]:
    lead: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    return lead + checked([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt)


def _memory(limit: int | None, prefix_bytes: int, session: LaneSource) -> tuple[KvPool, PrefixCache]:
    """Room for KV caches and for shared starts, which get a quarter of a limit at most."""
    if limit is None:
        return KvPool(), PrefixCache(prefix_bytes)
    prefixes = min(prefix_bytes, max(0, limit // 4))
    pool, size = KvPool(limit - prefixes), session.kv_size
    if pool.fits(size) < 2:
        raise InputError(
            f"memory_limit is {limit} bytes, expected at least {size.bytes(2) + prefixes} bytes for a chat's KV cache"
        )
    return pool, PrefixCache(prefixes)
