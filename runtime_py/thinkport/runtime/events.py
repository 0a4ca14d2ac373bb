"""What a streamed reply is made of: pieces of thought and its end, pieces of answer, tool calls, and one end with the
figures.
"""

from dataclasses import asdict, dataclass
from typing import Any

from thinkport.runtime.engine.generation import Finish, TokenLogprob
from thinkport.runtime.thinking.thinking import Choose, DecidedBy, Switch, ThinkingEnd


@dataclass(frozen=True, kw_only=True)
class ThoughtPiece:
    """More text of the thought; `forced` if the runtime and not the model wrote it.

    `tokens` counts what the model wrote of the thought so far, this piece included.
    """

    text: str
    forced: bool = False
    tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class AnswerPiece:
    """More text of the answer; `forced` if the runtime and not the model wrote it.

    `tokens` counts what the model wrote of the answer so far, this piece included. `logprobs` are those of the tokens
    since the piece before, where they were asked for.
    """

    text: str
    forced: bool = False
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call that the model asks for, whole. `text` is what it wrote between the tags.

    `problem` is None, or says in a sentence what is wrong with the call: not JSON, an unknown tool, arguments that the
    tool's schema refuses. `arguments` is None where they are no JSON object, `name` empty where none was given.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None
    text: str
    problem: str | None = None


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
class ThoughtEnd:
    """The end of the thought: why it ended, and what it took.

    It comes once, after the last piece of the thought and before anything of the answer, in every reply whose
    `End.thinking_end` is neither off nor none; `reason` is that value. A reply that ends within its thought has one
    too, just before its `End`. `thinking` has the tokens that the model wrote and their seconds.
    """

    reason: ThinkingEnd
    thinking: Speed


@dataclass(frozen=True, kw_only=True)
class ThoughtsProgress:
    """How far thoughts that are written at the same time have come, now and then, while none of them is chosen.

    tokens: what the model wrote of each. ended: how many of them have ended.
    """

    tokens: tuple[int, ...]
    ended: int


@dataclass(frozen=True, kw_only=True)
class OtherThought:
    """A thought that was not chosen.

    `tokens` were written for it, its answer and forced ones included. `end` says why it ended; None where it was
    stopped, as another one was chosen. `answer` is what it answered, None where it did not.
    """

    thought: str
    tokens: int
    end: ThinkingEnd | None = None
    answer: str | None = None


@dataclass(frozen=True, kw_only=True)
class ParallelThoughts:
    """How a reply came by its thought, where more than one was asked for.

    asked: `Thinking.width`. width: how many thoughts were written. chosen: the number of the reply's own, from 0.
    choose: how it was chosen. answered: how many thoughts answered where they voted, and agreed: how many of these gave
    the reply's answer; None without a vote. reason: all of this in words. others: the other thoughts, by their numbers.
    """

    asked: int
    width: int
    chosen: int
    choose: Choose
    agreed: int | None = None
    answered: int | None = None
    reason: str
    others: tuple[OtherThought, ...] = ()

    @property
    def tokens(self) -> int:
        """What was written for the other thoughts."""
        return sum(other.tokens for other in self.others)


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of a reply: all of its text, why its parts ended, and what it took.

    `thought` and `answer` are the sums of the pieces. `enabled` is how thinking was switched for this reply and
    `decided_by` who switched it. Think markers, tool calls' tags and stop tokens count in neither part's tokens, nor
    does what the runtime wrote, whose tokens are `forced_tokens`. `cached_tokens` of the `prompt_tokens` were in the
    KV cache; `prefill` counts the others, up to the first token. `drafted_tokens` were guessed ahead, and
    `accepted_tokens` of them came, at a part of a step's time each. `stop_text` is the text that a client of the server
    ended the answer at, which is not part of it. `parallel` says how the thought was chosen where several were asked
    for; all other figures but the prompt's are those of the chosen one.
    """

    thought: str
    answer: str
    tool_calls: tuple[ToolCall, ...] = ()
    thinking_end: ThinkingEnd
    answer_end: Finish
    enabled: Switch
    decided_by: DecidedBy
    prompt_tokens: int
    cached_tokens: int
    forced_tokens: int
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    stop_text: str | None = None
    prefill: Speed
    thinking: Speed
    answering: Speed
    parallel: ParallelThoughts | None = None

    @property
    def thought_tokens(self) -> int:
        """Tokens that the model wrote within the thought."""
        return self.thinking.tokens

    @property
    def answer_tokens(self) -> int:
        """Tokens that the model wrote of the answer, tool calls included."""
        return self.answering.tokens

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON data; a speed is None where nothing was counted."""
        counts = ("prompt", "cached", "thought", "answer", "forced", "drafted", "accepted")
        speeds = {"prefill": self.prefill, "thought": self.thinking, "answer": self.answering}
        return {
            "thought": self.thought,
            "answer": self.answer,
            "tool_calls": [asdict(call) for call in self.tool_calls],
            **{f"{name}_tokens": getattr(self, f"{name}_tokens") for name in counts},
            **{name: getattr(self, name).value for name in ("enabled", "decided_by", "thinking_end", "answer_end")},
            "timings": {
                name: {"seconds": speed.seconds, "tokens_per_second": speed.tokens_per_second}
                for name, speed in speeds.items()
            },
            "parallel": self.parallel and asdict(self.parallel),
        }


Event = ThoughtPiece | ThoughtsProgress | ThoughtEnd | AnswerPiece | ToolCall | End
