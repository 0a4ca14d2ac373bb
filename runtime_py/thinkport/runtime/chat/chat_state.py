"""What a chat keeps in a file besides its KV cache, as JSON data and back.

Knows a chat's settings and the replies that its messages hold. Must not know the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.prompt.prompt import Tools
from thinkport.runtime.prompt.reply_memory import KnownReply, ReplyMemory, Spelling
from thinkport.runtime.prompt.template import plain_data
from thinkport.runtime.thinking.thinking import Thinking


@dataclass(frozen=True, kw_only=True)
class ChatState:
    """A chat between two turns. `sampling` is settings, single values over the mode's preset, or nothing.

    `replies` are those of its messages whose ids are known, by content, the latest of a content last.
    """

    messages: list[dict[str, Any]]
    thinking: Thinking
    tools: Tools | None
    sampling: SamplingSettings | Mapping[str, Any] | None
    replies: Sequence[tuple[str, KnownReply]] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON data.

        Raises:
            InputError: a message holds what is no JSON.
        """
        whole = isinstance(self.sampling, SamplingSettings)
        return {
            "messages": [plain_data(message) for message in self.messages],
            "thinking": asdict(self.thinking),
            "tools": None if self.tools is None else plain_data(list(self.tools)),
            "sampling": asdict(self.sampling) if isinstance(self.sampling, SamplingSettings) else self.sampling,
            "sampling_is_whole": whole,
            "replies": [
                [content, [[list(spelling.ids), spelling.text] for spelling in known.spellings]]
                for content, known in self.replies
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ChatState":
        """The state that `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError, ThinkportError: data of another form.
        """
        sampling = data["sampling"]
        return cls(
            messages=[dict(message) for message in data["messages"]],
            thinking=Thinking(**{field.name: data["thinking"][field.name] for field in fields(Thinking)}),
            tools=data["tools"],
            sampling=SamplingSettings(**sampling) if data["sampling_is_whole"] else sampling,
            replies=[
                (str(content), KnownReply(tuple(Spelling(tuple(map(int, ids)), str(text)) for ids, text in known)))
                for content, known in data["replies"]
            ],
        )


def known_replies(messages: Sequence[Mapping[str, Any]], memory: ReplyMemory) -> list[tuple[str, KnownReply]]:
    """What a memory knows of the replies among messages, the latest of a content last."""
    contents = dict.fromkeys(
        message["content"]
        for message in messages
        if message["role"] == "assistant" and isinstance(message.get("content"), str)
    )
    return [(content, known) for content in contents for known in reversed(memory.replies(content))]
