"""A conversation: keeps the messages and one engine, whose KV cache is reused from turn to turn."""

import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol, Self, Unpack

from thinkport.runtime.chat.conversation_file import KvSource, SavedConversation, read_conversation, write_conversation
from thinkport.runtime.chat.turn import OnDone, OnEvent, Settler, Turn, turn_events
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.events import End, Event
from thinkport.runtime.prompt.prompt import Tools
from thinkport.runtime.prompt.reply_memory import KnownReply, Spelling
from thinkport.runtime.prompt.template import plain_data
from thinkport.runtime.reply.reply import Reply
from thinkport.runtime.reply.reply_maker import ReplyMaker
from thinkport.runtime.reply.reply_request import ReplyRequest, Sampling, TurnOptions, check_names
from thinkport.runtime.thinking.thinking import Switch, Thinking, as_thinking
from thinkport.runtime.thinking.thinking_switch import Decision
from thinkport.runtime.tools.function_tool import ToolsGiven, described
from thinkport.runtime.tools.tool_calls import message_calls

Settle = bool | Literal["idle"] | None


class ChatModel(Protocol):
    """What a chat needs of its model, which is a `Model`; saved KV caches belong to its `kv_source`."""

    replies: ReplyMaker
    kv_source: KvSource

    def engine(self) -> Engine:
        """A token loop with a KV cache of its own."""


class Chat:
    """A conversation with a model. `messages` is its history, which may be edited between turns.

    One turn at a time: a turn that begins while another is read ends that one with an `InputError`.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        system: str | None = None,
        thinking: Thinking | Switch | bool | None = None,
        tools: ToolsGiven | None = None,
        sampling: Sampling | None = None,
        settle: Settle = None,
    ):
        """Use `Model.chat`."""
        self.messages: list[dict[str, Any]] = []
        self.system = system
        default = model.replies.thinking
        self.thinking = as_thinking(thinking, default) or replace(default, enabled=None)
        self.tools = tools
        self.sampling = sampling
        self._model = model
        self._engine: Engine = model.engine()
        self._stop = Stop()  # of the latest reply
        self._turn: weakref.ref[Turn] | None = None  # the latest; its thread keeps it while it runs
        self._starting = Lock()
        if settle not in (True, False, "idle", None):
            raise InputError(f"settle is {settle!r}, expected True, False, 'idle' or None")
        self._settler, self._settles = Settler(), settle is not False
        self._beside = None if settle is None else settle is True

    @property
    def system(self) -> str | None:
        """The system message that begins the history; None takes it away."""
        return self.messages[0]["content"] if self._has_system() else None

    @system.setter
    def system(self, text: str | None) -> None:
        if text is not None and not isinstance(text, str):
            raise InputError(f"the system message is {type(text).__name__}, expected a text, or None for none")
        self.messages[: self._has_system()] = [] if text is None else [{"role": "system", "content": text}]

    @property
    def tools(self) -> Tools | None:
        """The tools that replies may call, as mappings; functions that are set become their descriptions."""
        return self._tools

    @tools.setter
    def tools(self, tools: ToolsGiven | None) -> None:
        self._tools: Tools | None = described(tools)

    def __repr__(self) -> str:
        messages = len(self.messages)
        tools = f", {len(self._tools)} tools" if self._tools else ""
        thinking = self.thinking.enabled or "as the model has it"
        return f"<Chat: {messages} message{'' if messages == 1 else 's'}, thinking {thinking}{tools}>"

    def stream(self, text: str, **options: Unpack[TurnOptions]) -> Reply:
        """Events of the reply to a user's `text`; text and reply join the history when the end is reached.

        A reply closed before its end leaves the history as it was.

        Raises:
            InputError: on the call, a request that can't be run.
        """
        return self._begin(None, [{"role": "user", "content": text}], options)

    def send(self, text: str, **options: Unpack[TurnOptions]) -> End:
        """The whole reply to a user's `text`; the options are those of `stream`."""
        return self.stream(text, **options).end()

    def start(
        self,
        text: str,
        *,
        on_event: OnEvent | None = None,
        on_done: OnDone | None = None,
        **options: Unpack[TurnOptions],
    ) -> Turn:
        """Begin a turn in a thread of its own and return at once; for any thread, such as a window's.

        `on_event` is called with each event and `on_done` with the turn when it is over, both in the turn's thread.
        Whatever `stream` raises is the turn's `error`.

        Raises:
            InputError: a turn that was started goes on.
        """
        check_names(options, TurnOptions, "a turn")
        with self._starting:
            latest = self._turn() if self._turn else None
            if latest is not None and not latest.done:
                raise InputError("a turn of this chat goes on: wait for it, cancel it, or use another chat")
            asked, self._stop = [{"role": "user", "content": text}], Stop()
            turn = Turn(partial(self._begin, None, asked, options), on_event, on_done, self._stop)
            self._turn = weakref.ref(turn)
            return turn

    def astream(self, text: str, **options: Unpack[TurnOptions]) -> AsyncGenerator[Event]:
        """Events of the reply to a user's `text` for `async for`; the loop goes on during a step.

        Cancelling the task ends the reply within a token and leaves the history as it was. A loop that is left by
        `break` does the same when its generator is closed: see `contextlib.aclosing`.

        Raises:
            InputError: at the first event, a request that can't be run, or a turn that was started goes on.
        """
        return turn_events(lambda on_event, on_done: self.start(text, on_event=on_event, on_done=on_done, **options))

    def stream_results(self, results: Mapping[str, str] | Sequence[str], **options: Unpack[TurnOptions]) -> Reply:
        """Events of the reply to what the tools gave: texts by call id, or in the order of the calls.

        Raises:
            InputError: the last message calls no tools, or the results are not those of its calls, or are no texts.
        """
        calls = self.messages[-1].get("tool_calls") if self.messages else None
        if not calls:
            raise InputError("the last message calls no tools, expected one that does: send a text instead")
        return self._begin(None, _result_messages(calls, results), options)

    def retry(self, **options: Unpack[TurnOptions]) -> Reply:
        """Events of another reply to the last message that is not the model's; at its end it replaces the old one.

        Raises:
            InputError: nothing was said yet.
        """
        keep = len(self.messages)
        while keep and self.messages[keep - 1]["role"] == "assistant":
            keep -= 1
        if not keep or self.messages[keep - 1]["role"] == "system":
            raise InputError("there is nothing to reply to again: say something first")
        return self._begin(keep, [], options)

    def undo(self) -> str | None:
        """Take the user's last message and all that follows out of the history; its text, None if there is none."""
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at]["role"] == "user":
                text: str = self.messages[at]["content"]
                del self.messages[at:]
                return text
        return None

    def stop_thinking(self) -> None:
        """Close the thought of the latest reply at its next token, so that the answer comes; from any thread."""
        self._stop.stop_thinking()

    def cancel(self) -> None:
        """End the latest reply at its next token; from any thread. What came so far joins the history."""
        self._stop.cancel()

    def settle(self) -> None:
        """Feed the history to the KV cache as the next turn will need it, and wait for that.

        The template drops the thoughts of earlier turns, so that after a turn the cache is rewound to where the
        thought began and the answer fed again. Chats do it in the background after each turn unless told not to.

        Raises:
            InputError: the history fills the context, or the model is closed.
        """
        self._settle(None)
        self._settler.wait()

    def save(self, path: str | Path, *, kv: bool = True) -> None:
        """Write the conversation to one file: messages, settings and, with `kv`, the KV cache of what was said.

        The file takes the place of an older one when it is whole. The cache takes as much on disk as in memory.

        Raises:
            ArtifactError: the file can't be written.
            InputError: a message holds what is no JSON.
        """
        self._settler.stop()
        held = self._engine.snapshot() if kv else None
        ids, snapshot = held or ([], None)
        saved = SavedConversation(data=self._data(), ids=ids, snapshot=snapshot)
        write_conversation(path, saved, self._model.kv_source)

    @classmethod
    def restore(cls, model: ChatModel, path: str | Path, *, ignore_kv: bool = False) -> Self:
        """The conversation that `save` wrote. `ignore_kv` takes the messages alone, for example of another artifact.

        The KV cache of another graph of the artifact is computed anew.

        Raises:
            ArtifactError: no such file, a damaged one, or its KV cache is of another artifact.
            InputError: the model is closed, or its chats leave too little memory.
        """
        saved = read_conversation(path, model.kv_source, ignore_kv=ignore_kv)
        data = saved.data
        try:
            messages = [dict(message) for message in data["messages"]]
            thinking = Thinking(**_settings_of(data["thinking"]))
            tools, sampling = data["tools"], data["sampling"]
            if data["sampling_is_whole"]:
                sampling = SamplingSettings(**sampling)
            elif sampling is not None:
                SamplingSettings().override(sampling)  # refuses names and values that no reply could use
            replies = [
                (str(content), KnownReply(tuple(Spelling(tuple(map(int, ids)), str(text)) for ids, text in known)))
                for content, known in data["replies"]
            ]
        except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
            raise ArtifactError(f"{path} is no conversation of this program ({error!r}): save it again") from error
        chat = cls(model, thinking=thinking, tools=tools, sampling=sampling)
        chat.messages = messages
        if saved.snapshot is not None:
            for content, known in replies:
                model.replies.memory.remember(content, known)
            chat._engine.restore(saved.ids, saved.snapshot)
        return chat

    def _data(self) -> dict[str, Any]:
        """All but the KV cache, as JSON data, with the replies whose ids are known, the latest of a content last.

        Raises:
            InputError: a message holds what is no JSON.
        """
        sampling, tools = self.sampling, self.tools
        contents = dict.fromkeys(
            message["content"]
            for message in self.messages
            if message["role"] == "assistant" and isinstance(message.get("content"), str)
        )
        return {
            "messages": [plain_data(message) for message in self.messages],
            "thinking": asdict(self.thinking),
            "tools": None if tools is None else plain_data(list(tools)),
            "sampling": asdict(sampling) if isinstance(sampling, SamplingSettings) else sampling,
            "sampling_is_whole": isinstance(sampling, SamplingSettings),
            "replies": [
                [content, [[list(spelling.ids), spelling.text] for spelling in known.spellings]]
                for content in contents
                for known in reversed(self._model.replies.memory.replies(content))
            ],
        }

    def _begin(
        self, keep: int | None, asked: list[dict[str, Any]], options: TurnOptions, stop: Stop | None = None
    ) -> Reply:
        """The reply to the first `keep` messages, or all, and what is asked now."""
        keep = len(self.messages) if keep is None else keep
        check_names(options, TurnOptions, "a turn")
        self._stop = stop = stop or Stop()  # first, so that it can be cancelled while it is prepared
        usual = {"chat": self.thinking, "tools": self.tools, "sampling": self.sampling}
        request = ReplyRequest.of([*self.messages[:keep], *asked], options, self.thinking, **usual)
        prepared = self._model.replies.prepare(request)
        self._settler.stop()

        def remember(end: End, decision: Decision) -> None:
            self.messages[keep:] = [*asked, _said_message(end)]
            if self._settles:
                self._settle(decision.hard)

        replies = self._model.replies
        beside = self._engine.settles_beside if self._beside is None else self._beside
        return replies.begin(prepared, self._engine, stop=stop, on_end=remember, settles=beside)

    def _settle(self, enable_thinking: bool | None) -> None:
        replies, engine, tools = self._model.replies, self._engine, self.tools
        messages = [dict(message) for message in self.messages]

        def feed(stop: Stop) -> None:  # it holds no chat, so that one that is dropped is collected
            if messages:
                engine.prefill(replies.history(messages, tools, enable_thinking), stop=stop)

        self._settler.start(feed)

    def _has_system(self) -> bool:
        return bool(self.messages) and self.messages[0]["role"] == "system"


def _settings_of(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Saved settings; those that came later than the file have their defaults."""
    return {field.name: saved[field.name] for field in fields(Thinking) if field.name in saved}


def _said_message(end: End) -> dict[str, Any]:
    """The reply as a message. A thought is named even where there is none if a template might find one in the text."""
    said: dict[str, Any] = {"role": "assistant", "content": end.answer}
    if end.thought or "</think>" in end.answer:
        said["reasoning_content"] = end.thought
    if end.tool_calls:
        said["tool_calls"] = message_calls(end.tool_calls)
    return said


def _result_messages(
    calls: Sequence[Mapping[str, Any]], results: Mapping[str, str] | Sequence[str]
) -> list[dict[str, Any]]:
    """What tools gave, as messages: texts by call id, or in the order of the calls.

    Raises:
        InputError: other results than those of the calls, or some that are no texts.
    """
    ids = [str(call.get("id", f"call_{at}")) for at, call in enumerate(calls)]  # an edited history may have none
    given = dict(results) if isinstance(results, Mapping) else dict(zip(ids, results, strict=False))
    if isinstance(results, str) or len(results) != len(ids) or set(given) != set(ids):
        raise InputError(
            f"{len(results)} results for the calls {', '.join(ids)}, expected one for each: answer every call"
        )
    for call, result in given.items():
        if not isinstance(result, str):  # templates drop what is no text without a word
            raise InputError(f"the result of {call} is {type(result).__name__}, expected a text: write it as JSON")
    return [{"role": "tool", "tool_call_id": call, "content": given[call]} for call in ids]
