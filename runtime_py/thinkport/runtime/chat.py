"""A conversation: keeps the messages and one engine, whose KV cache is reused from turn to turn."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, Unpack

from thinkport.runtime.chat_state import ChatState, remember_replies
from thinkport.runtime.conversation_file import SavedConversation, read_conversation, write_conversation
from thinkport.runtime.engine import Engine
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.events import End
from thinkport.runtime.messages import checked
from thinkport.runtime.prompt import Tools
from thinkport.runtime.reply import Reply, ReplyRun
from thinkport.runtime.reply_request import ReplyRequest, Sampling
from thinkport.runtime.response_format import ResponseFormat
from thinkport.runtime.sampling import SamplingSettings
from thinkport.runtime.settler import Settler
from thinkport.runtime.thinking import Switch, Thinking
from thinkport.runtime.tool_calls import message_calls
from thinkport.runtime.tool_choice import ToolChoice

if TYPE_CHECKING:
    from thinkport.runtime.model import Model


class TurnOptions(TypedDict):
    """What may be said of a single turn; what is left out is the chat's.

    thinking: a `Thinking`, or a switch alone. max_tokens: of the reply, thought included. sampling: settings, or
    single values over the mode's preset. seed: draws the same tokens again. response_format: what the answer is held
    to. tool_choice: auto, none, required, or the name of the tool to call. drafts: whether tokens are guessed ahead.
    """

    thinking: NotRequired[Thinking | Switch | bool | None]
    max_tokens: NotRequired[int | None]
    sampling: NotRequired[Sampling | None]
    seed: NotRequired[int | None]
    response_format: NotRequired[ResponseFormat | None]
    tool_choice: NotRequired[str | Mapping[str, Any] | ToolChoice]
    drafts: NotRequired[bool | None]


class Chat:
    """A conversation with a model. `messages` is its history, which may be edited between turns.

    One turn at a time: a turn that begins while another is read ends that one with an `InputError`.
    """

    def __init__(
        self,
        model: "Model",
        *,
        system: str | None = None,
        thinking: Thinking | Switch | bool | None = None,
        tools: Tools | None = None,
        sampling: Sampling | None = None,
        settle: bool = True,
    ):
        """Use `Model.chat`."""
        self.messages: list[dict[str, Any]] = []
        self.system = system
        self.thinking = model.thinking_of(thinking, model.thinking) or replace(model.thinking, enabled=None)
        self.tools, self.sampling = tools, sampling
        self._model = model
        self._engine: Engine = model.engine()
        self._reply: Reply | None = None
        self._settler, self._settles = Settler(), settle

    @property
    def system(self) -> str | None:
        """The system message that begins the history; None takes it away."""
        return self.messages[0]["content"] if self._has_system() else None

    @system.setter
    def system(self, text: str | None) -> None:
        if text is not None and not isinstance(text, str):
            raise InputError(f"the system message is {type(text).__name__}, expected a text, or None for none")
        self.messages[: self._has_system()] = [] if text is None else [{"role": "system", "content": text}]

    def stream(self, text: str, **options: Unpack[TurnOptions]) -> Reply:
        """Events of the reply to a user's `text`; text and reply join the history when the end is reached.

        A reply closed before its end leaves the history as it was.

        Raises:
            InputError: on the call, a request that can't be run.
        """
        return self._begin(len(self.messages), [{"role": "user", "content": text}], options)

    def send(self, text: str, **options: Unpack[TurnOptions]) -> End:
        """The whole reply to a user's `text`; the options are those of `stream`."""
        return self.stream(text, **options).end()

    def stream_results(self, results: Mapping[str, str] | Sequence[str], **options: Unpack[TurnOptions]) -> Reply:
        """Events of the reply to what the tools gave: texts by call id, or in the order of the calls.

        Raises:
            InputError: the last message calls no tools, or the results are not those of its calls, or are no texts.
        """
        calls = self.messages[-1].get("tool_calls") if self.messages else None
        if not calls:
            raise InputError("the last message calls no tools, expected one that does: send a text instead")
        return self._begin(len(self.messages), _results(calls, results), options)

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
        """Close the thought of the reply in progress at its next token, so that the answer comes; from any thread."""
        if self._reply is not None:
            self._reply.stop_thinking()

    def cancel(self) -> None:
        """End the reply in progress at its next token; from any thread. What came so far joins the history."""
        self._engine.cancel()

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
        state = ChatState(messages=self.messages, thinking=self.thinking, tools=self.tools, sampling=self.sampling)
        data = state.to_json(self._model.replies)
        ids, snapshot = held or ([], None)
        saved = SavedConversation(data=data, ids=ids, snapshot=snapshot)
        write_conversation(path, saved, self._model.kv_source)

    @classmethod
    def restore(cls, model: "Model", path: str | Path, *, ignore_kv: bool = False) -> "Chat":
        """The conversation that `save` wrote. `ignore_kv` takes the messages alone, for example of another artifact.

        Raises:
            ArtifactError: no such file, a damaged one, or its KV cache is of another artifact, graph or layout.
        """
        saved = read_conversation(path, model.kv_source, ignore_kv=ignore_kv)
        try:
            state = ChatState.from_json(saved.data)
            chat = cls(model, thinking=state.thinking, tools=state.tools, sampling=state.sampling)
            chat.messages = state.messages
            if saved.snapshot is not None:
                remember_replies(saved.data, model.replies)
                chat._engine.restore(saved.ids, saved.snapshot)
        except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
            raise ArtifactError(f"{path} is no conversation of this program ({error!r}): save it again") from error
        return chat

    def _begin(self, keep: int, asked: list[dict[str, Any]], options: TurnOptions) -> Reply:
        """The reply to the first `keep` messages and what is asked now."""
        _check_names(options)
        said: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        request = ReplyRequest(
            messages=checked([*self.messages[:keep], *asked]),
            tools=self.tools,
            call=self._model.thinking_of(said.pop("thinking", None), self.thinking),
            chat=self.thinking,
            **{"sampling": self.sampling, **said},
        )
        self._settler.stop()
        self._reply = self._model.begin(request, self._engine, partial(self._remember, keep, asked))
        return self._reply

    def _remember(self, keep: int, asked: list[dict[str, Any]], run: ReplyRun, end: End) -> None:
        self.messages[keep:] = [*asked, _said(end)]
        if self._settles:
            self._settle(run.hard)

    def _settle(self, enable_thinking: bool | None) -> None:
        model, engine, tools = self._model, self._engine, self.tools
        messages = [dict(message) for message in self.messages]
        # The work holds no chat, so that one that is dropped is collected.
        self._settler.start(
            lambda stop: (
                engine.prefill(model.history(messages, tools, enable_thinking), stop=stop) if messages else None
            )
        )

    def _has_system(self) -> bool:
        return bool(self.messages) and self.messages[0]["role"] == "system"


def _said(end: End) -> dict[str, Any]:
    """The reply as a message. A thought is named even where there is none if a template might find one in the text."""
    said: dict[str, Any] = {"role": "assistant", "content": end.answer}
    if end.thought or "</think>" in end.answer:
        said["reasoning_content"] = end.thought
    if end.tool_calls:
        said["tool_calls"] = message_calls(end.tool_calls)
    return said


def _results(calls: Sequence[Mapping[str, Any]], results: Mapping[str, str] | Sequence[str]) -> list[dict[str, Any]]:
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


def _check_names(options: Mapping[str, Any]) -> None:
    """Raise `TypeError` for an option that no turn has, as Python does for a keyword."""
    for name in options:
        if name in (field.name for field in fields(SamplingSettings)):
            raise TypeError(f"a turn has no option {name!r}: did you mean sampling={{{name!r}: ...}}?")
        if name not in TurnOptions.__annotations__:
            raise TypeError(f"a turn has no option {name!r}, expected one of: {', '.join(TurnOptions.__annotations__)}")
