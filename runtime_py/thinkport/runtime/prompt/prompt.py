"""Messages to ids: the template's text, with what messages spell kept apart from what the template writes.

The ids are those of the rendered text, with two exceptions. Content that spells a guarded token (`<|im_end|>`,
`<think>`) becomes plain-text ids: content can't open a turn or a thought. And a reply that was sampled here keeps the
ids it was sampled with.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from thinkport.runtime.engine.held_sequence import common_prefix
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.marking import Marks
from thinkport.runtime.prompt.reply_memory import ReplyMemory
from thinkport.runtime.prompt.template import ChatTemplate, Message, normalize, plain_data
from thinkport.runtime.prompt.tokenizer import Tokenizer

Tools = Sequence[Mapping[str, Any]]

_NEW = "what is said next"  # content of a message that is not said yet
_REPLY, _THOUGHT = "what is replied", "what is thought"


@dataclass(frozen=True)
class Known:
    """A span of the text whose ids are known already."""

    start: int
    end: int
    ids: tuple[int, ...]


class Rendered:
    """Rendered text in `pieces`, each with whether it is an added token that content spells."""

    def __init__(self, pieces: Sequence[tuple[str, bool]]):
        self.pieces, self.text = pieces, "".join(piece for piece, _ in pieces)
        self._starts = list(accumulate((len(piece) for piece, _ in pieces), initial=0))[:-1]

    def is_templates(self, at: int) -> bool:
        """Whether the character at `at` belongs to no added token that content spells."""
        return not self.pieces[bisect_right(self._starts, at) - 1][1]

    def has_added_token(self, tokenizer: Tokenizer, at: int) -> bool:
        """Whether the template wrote an added token at `at`, or the text ends there."""
        return at == len(self.text) or (tokenizer.added_pattern.begins(self.text, at) and self.is_templates(at))

    def first(self, text: str, after: int = 0) -> int | None:
        """Where the template itself wrote `text` first, behind `after`; None where it did not."""
        at = self.text.find(text, after) if text else -1
        while at >= 0 and not self.is_templates(at):
            at = self.text.find(text, at + 1)
        return None if at < 0 else at

    def encode(
        self, tokenizer: Tokenizer, known: Sequence[Known] = (), *, start: int = 0, end: int | None = None
    ) -> list[int]:
        """The ids of the text from `start` to `end`; spans of `known` (in order, apart) have the ids that they say."""
        ids: list[int] = []
        at, end = start, len(self.text) if end is None else end
        for span in known:
            if start <= span.start and span.end <= end:
                ids += self._between(tokenizer, at, span.start)
                ids += span.ids
                at = span.end
        return ids + self._between(tokenizer, at, end)

    def _between(self, tokenizer: Tokenizer, start: int, end: int) -> list[int]:
        return [
            token
            for text, from_content in self._cut(start, end)
            for token in (tokenizer.encode_plain if from_content else tokenizer.encode)(text)
        ]

    def _cut(self, start: int, end: int) -> Iterator[tuple[str, bool]]:
        first = max(0, bisect_right(self._starts, start) - 1)
        for begin, (text, from_content) in zip(self._starts[first:], self.pieces[first:], strict=True):
            if begin >= end:
                return
            if piece := text[max(0, start - begin) : end - begin]:
                yield piece, from_content


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt's ids; the first `shareable` are its system message and tools, as other conversations have them."""

    ids: list[int]
    shareable: int


@dataclass(frozen=True)
class PromptEncoder:
    """Makes the prompts of one model; `replies` knows the ids of some messages."""

    tokenizer: Tokenizer
    template: ChatTemplate
    replies: ReplyMemory | None = None

    def encode(
        self,
        messages: Sequence[Message],
        tools: Tools | None = None,
        enable_thinking: bool | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> Prompt:
        """The prompt that the template makes of `messages`.

        Raises:
            InputError: the template refuses the messages, or does something to content that can't be followed.
        """
        options = {"enable_thinking": enable_thinking, "add_generation_prompt": add_generation_prompt}
        rendered, known = self._render(messages, tools, **options)
        shared = self._shared_text(rendered) if tools or messages[0]["role"] == "system" else 0
        start = rendered.encode(self.tokenizer, known, end=shared)
        if shared and not rendered.has_added_token(self.tokenizer, shared):  # cut there, the text may become other ids
            ids = rendered.encode(self.tokenizer, known)
            return Prompt(ids=ids, shareable=common_prefix(ids, start))
        return Prompt(ids=start + rendered.encode(self.tokenizer, known, start=shared), shareable=len(start))

    def history(
        self, messages: Sequence[Message], tools: Tools | None = None, enable_thinking: bool | None = None
    ) -> list[int]:
        """Ids that every prompt begins with in which something new follows `messages`; empty where the template hides
        it.

        Templates write the last reply in one way and a reply that was answered in another, so an answer is put behind
        them.

        Raises:
            InputError: as for `encode`.
        """
        role = "tool" if messages and messages[-1].get("tool_calls") else "user"
        answered = [*messages, {"role": role, "content": _NEW}]
        rendered, known = self._render(answered, tools, enable_thinking=enable_thinking)
        return rendered.encode(self.tokenizer, known, end=max(0, rendered.text.rfind(_NEW)))

    def before_reply(
        self,
        messages: Sequence[Message],
        tools: Tools | None = None,
        enable_thinking: bool | None = None,
        *,
        thought: bool = False,
    ) -> list[int]:
        """Ids up to the text of a reply to `messages` in every prompt in which something new follows the reply.

        Empty where the template says nothing of them, or where it keeps the reply's `thought`: nothing is to be run
        anew then.
        """
        thinks = {"reasoning_content": _THOUGHT} if thought else {}
        reply = {"role": "assistant", "content": _REPLY, **thinks}
        answered = [*messages, reply, {"role": "user", "content": _NEW}]
        try:
            rendered, known = self._render(answered, tools, enable_thinking=enable_thinking)
        except InputError:
            return []
        at = rendered.text.rfind(_REPLY)
        if at < 0 or _THOUGHT in rendered.text[:at]:
            return []
        return rendered.encode(self.tokenizer, known, end=at)

    def _shared_text(self, rendered: Rendered) -> int:
        """Where the first turn begins behind what the template writes of a system message and tools."""
        starts = [rendered.first(header, 1) for header in (self.template.user_header, self.template.reply_header)]
        return min((start for start in starts if start is not None), default=0)

    def _render(self, messages: Sequence[Message], tools: Tools | None, **options: Any) -> tuple[Rendered, list[Known]]:
        """The template's text, and the spans of it that are sampled replies, whose ids `replies` knows."""
        text = self.template.render(messages, tools=tools, **options)
        plain_messages, plain_tools = normalize(messages), plain_data(tools)
        marks, marked = Marks(self.tokenizer.guarded, plain_messages, plain_tools), text
        if marks:
            given = {"tools": marks.mark(plain_tools), "marks": marks, **options}
            marked = self.template.render(marks.mark(plain_messages), **given)
        # Where content opens nothing, it doesn't matter what the template does to it.
        opens = _spelled(self.tokenizer, marked) != _spelled(self.tokenizer, text)
        rendered = Rendered(marks.split(marked) if opens else [(text, False)])
        if rendered.text != text:
            spelled = ", ".join(sorted(token for token in self.tokenizer.added if token in text))
            raise InputError(
                f"a message spells added tokens (of {spelled}) and this chat template changes them beyond recognition: "
                "remove them from the message"
            )
        return rendered, [] if self.replies is None else list(self._known(rendered, messages, self.replies))

    def _known(self, rendered: Rendered, messages: Sequence[Message], replies: ReplyMemory) -> Iterator[Known]:
        """The replies among `messages` whose ids are known and whose text stands in the prompt as they spell it."""
        said = [message.get("content") or "" for message in messages if message["role"] == "assistant"]
        # The last header may be the generation prompt's.
        for content, start in zip(said, _headers(rendered, self.template.reply_header), strict=False):
            for spelling in replies.spellings(content) if isinstance(content, str) else ():
                end = start + len(spelling.text)
                if rendered.text.startswith(spelling.text, start) and rendered.has_added_token(self.tokenizer, end):
                    yield Known(start, end, spelling.ids)
                    break


def _spelled(tokenizer: Tokenizer, text: str) -> list[str]:
    return [text[start:end] for start, end in tokenizer.guarded.spans(text)]


def _headers(rendered: Rendered, header: str) -> Iterator[int]:
    """Where each reply begins: after every header that the template wrote."""
    at = rendered.first(header)
    while at is not None:
        yield at + len(header)
        at = rendered.first(header, at + len(header))
