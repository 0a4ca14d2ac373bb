"""A conversation: keeps the messages and one engine, whose KV cache is reused from turn to turn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thinkport.runtime.engine import Engine
from thinkport.runtime.events import End, Event
from thinkport.runtime.reply import last_of

if TYPE_CHECKING:
    from thinkport.runtime.model import Model, Sampling


class Chat:
    """A conversation with a model. `messages` is its history, which may be edited between turns."""

    def __init__(
        self,
        model: "Model",
        *,
        system: str | None = None,
        enable_thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ):
        """Use `Model.chat`."""
        self.messages: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
        self.enable_thinking = enable_thinking
        self.tools = tools
        self._model = model
        self._engine: Engine = model.engine()

    def stream(
        self,
        text: str,
        *,
        enable_thinking: bool | None = None,
        max_tokens: int | None = None,
        sampling: "Sampling | None" = None,
        seed: int | None = None,
    ) -> Iterator[Event]:
        """Events of the reply to a user's `text`; text and reply join the history when the end is reached.

        `enable_thinking` None takes the chat's own, which None leaves to the template. An iterator closed before its
        end leaves the history as it was.

        Raises:
            InputError: on the call, a request that can't be run.
        """
        asked = {"role": "user", "content": text}
        events = self._model.stream(
            [*self.messages, asked],
            tools=self.tools,
            enable_thinking=self.enable_thinking if enable_thinking is None else enable_thinking,
            max_tokens=max_tokens,
            sampling=sampling,
            seed=seed,
            engine=self._engine,
        )
        return self._remember(asked, events)

    def send(self, text: str, **options: Any) -> End:
        """The whole reply to a user's `text`; the options are those of `stream`."""
        return last_of(self.stream(text, **options))

    def cancel(self) -> None:
        """End the reply in progress at its next token; from any thread. What came so far joins the history."""
        self._engine.cancel()

    def _remember(self, asked: dict[str, Any], events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, End):
                said = {"role": "assistant", "content": event.answer, "reasoning_content": event.thought or None}
                self.messages += [asked, {key: value for key, value in said.items() if value is not None}]
            yield event
