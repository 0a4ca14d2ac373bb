"""Messages to ids: the template's text, with what messages spell kept apart from what the template writes.

The ids are those of the rendered text, except where content spells an added token (`<|im_end|>`, `<think>`), which
becomes plain-text ids: content can't open a turn or a thought.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from thinkport.runtime.errors import InputError
from thinkport.runtime.marking import Marks
from thinkport.runtime.template import ChatTemplate, Message, normalize, plain_data
from thinkport.runtime.tokenizer import Tokenizer


def encode_messages(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Message],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    enable_thinking: bool | None = None,
    add_generation_prompt: bool = True,
) -> list[int]:
    """Ids of the prompt that the template makes of `messages`.

    Raises:
        InputError: the template refuses the messages, or does something to content that can't be followed.
    """

    def render(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None) -> str:
        return template.render(
            messages, tools=tools, enable_thinking=enable_thinking, add_generation_prompt=add_generation_prompt
        )

    text = render(messages, tools)
    plain_messages, plain_tools = normalize(messages), plain_data(tools)
    marks = Marks(tokenizer.added_pattern, plain_messages, plain_tools)
    if not marks:
        return tokenizer.encode(text)
    pieces = marks.split(render(marks.mark(plain_messages), marks.mark(plain_tools)))
    if "".join(piece for piece, _ in pieces) != text:
        spelled = ", ".join(sorted(token for token in tokenizer.added if token in text))
        raise InputError(
            f"a message spells added tokens (of {spelled}) and this chat template changes them beyond recognition: "
            "remove them from the message"
        )
    encoders = {True: tokenizer.encode_plain, False: tokenizer.encode}
    return [token for piece, from_content in pieces for token in encoders[from_content](piece)]
