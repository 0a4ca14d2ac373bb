"""What a streamed reply is made of: pieces of thought, pieces of answer, and one end with the figures."""

from dataclasses import dataclass

from thinkport.runtime.engine import Finish
from thinkport.runtime.thinking import ThinkingEnd


@dataclass(frozen=True, kw_only=True)
class ThoughtPiece:
    """More text of the thought; `forced` if the runtime and not the model wrote it."""

    text: str
    forced: bool = False


@dataclass(frozen=True, kw_only=True)
class AnswerPiece:
    """More text of the answer; `forced` if the runtime and not the model wrote it."""

    text: str
    forced: bool = False


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Tokens of one part of a turn and the seconds they took."""

    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float | None:
        """None where no token or no time was counted."""
        return self.tokens / self.seconds if self.tokens and self.seconds else None


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of a reply: all of its text, why its parts ended, and what it took.

    `thought` and `answer` are the sums of the pieces. Think markers and stop tokens count in neither part's tokens.
    `cached_tokens` of the `prompt_tokens` were in the KV cache; `prefill` counts the others, up to the first token.
    """

    thought: str
    answer: str
    thinking_end: ThinkingEnd
    answer_end: Finish
    prompt_tokens: int
    cached_tokens: int
    prefill: Speed
    thinking: Speed
    answering: Speed

    @property
    def thought_tokens(self) -> int:
        """Tokens within the thought."""
        return self.thinking.tokens

    @property
    def answer_tokens(self) -> int:
        """Tokens of the answer."""
        return self.answering.tokens


Event = ThoughtPiece | AnswerPiece | End
