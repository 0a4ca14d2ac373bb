"""The state behind the prompt: the chat, how its replies are asked for and shown, and what was counted.

Knows a model and its chats; must not know terminals.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thinkport.runtime.chat.chat import Chat
from thinkport.runtime.events import End, Event
from thinkport.runtime.model import Model
from thinkport.runtime.terminal.figures import context_fill


def provider_of(model: Model) -> str:
    """What a model runs on, in a word or two."""
    chosen = model.provider_report.chosen
    return chosen.place.lower() if chosen else "unknown provider"


@dataclass(kw_only=True)
class Conversation:
    """A chat with a model.

    `options` go to every reply (max_tokens, sampling, seed); `unfolded`: a thought's text stays on the screen;
    `provider` is what the model runs on, in a word; `ends` are the ends of all turns, `last` that of this chat's last.
    """

    model: Model
    chat: Chat
    provider: str
    options: dict[str, Any] = field(default_factory=dict)
    unfolded: bool = False
    ends: list[End] = field(default_factory=list)
    last: End | None = None
    used: int = 0

    def __post_init__(self) -> None:
        self.count()

    def say(self, text: str) -> Iterator[Event]:
        """The reply to a message."""
        self._refresh()
        return self.chat.stream(text, **self.options)

    def retry(self) -> Iterator[Event]:
        """The last reply again."""
        self._refresh()
        return self.chat.retry(**self.options)

    def _refresh(self) -> None:
        """Run on a graph that was found faster, or again on a device that was lost: no reply runs now."""
        if self.model.refresh():
            self.provider = provider_of(self.model)

    def think(self, **changes: Any) -> None:
        """Change the chat's settings."""
        self.chat.thinking = replace(self.chat.thinking, **changes)

    def begin(self) -> None:
        """A new chat with the same settings and system message."""
        self._adopt(self.model.chat(system=self.chat.system, thinking=self.chat.thinking, tools=self.chat.tools))

    def load(self, path: Path) -> None:
        """Go on with a saved chat."""
        self._adopt(self.model.restore(path))

    def finish(self, end: End) -> None:
        """Take note of a turn."""
        self.last = end
        self.ends.append(end)
        self.count()

    def count(self) -> None:
        """Count the history's tokens after it changed, as the next prompt has them: without finished thoughts."""
        self.used = len(self.model.encode([*self.chat.messages, {"role": "user", "content": ""}], self.chat.tools))

    @property
    def context(self) -> str:
        """The share of the context that the history takes."""
        return context_fill(self.used, self.model.manifest.model.context_length)

    def _adopt(self, chat: Chat) -> None:
        self.chat, self.last = chat, None
        self.count()
