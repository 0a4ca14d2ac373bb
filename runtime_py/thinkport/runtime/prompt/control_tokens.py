"""Which added tokens control a conversation: those that content must not be able to write.

They are what the chat template writes (turns, thoughts, tools), what ends a reply, and the tokenizer's own beginnings
and ends. Whatever else a tokenizer has was added for texts, such as the words of a field by a fine-tune: the model was
trained on texts that have them as tokens.
"""

from typing import Any

from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer

_CALL = {"type": "function", "id": "1", "function": {"name": "a", "arguments": {"b": 1}}}
_TOOL = {"type": "function", "function": {"name": "a", "description": "b", "parameters": {"type": "object"}}}
_ASKED = {"role": "user", "content": "a"}
_SYSTEM = {"role": "system", "content": "b"}
_REPLY = {"role": "assistant", "content": "c", "reasoning_content": "d"}
_RESULT = {"role": "tool", "content": "e", "tool_call_id": "1"}
# Conversations that together have every role and part; a template may refuse some of them.
_PROBES: tuple[list[dict[str, Any]], ...] = (
    [_ASKED],
    [_ASKED, _REPLY],
    [_SYSTEM, _ASKED, _REPLY, _ASKED],
    [_ASKED, {**_REPLY, "tool_calls": [_CALL]}, _RESULT],
)


def control_tokens(tokenizer: Tokenizer, template: ChatTemplate, manifest: Manifest) -> set[str]:
    """The spellings of the added tokens that control conversations."""
    ids = {*manifest.stop_ids, *(vars(manifest.thinking).values() if manifest.thinking else ())}
    written = "\n".join([template.source, *_rendered(template), *manifest.special_tokens.values()])
    if manifest.reranking:
        written += "\n".join([manifest.reranking.prefix, manifest.reranking.body, manifest.reranking.suffix])
    return {token for token, number in tokenizer.added.items() if number in ids or token in written}


def _rendered(template: ChatTemplate) -> list[str]:
    found = []
    for messages in _PROBES:
        for tools in (None, [_TOOL]):
            for thinking in (True, False):
                try:
                    found.append(template.render(messages, tools=tools, enable_thinking=thinking))
                except InputError:  # a template that knows no tools, or no such roles
                    continue
    return found
