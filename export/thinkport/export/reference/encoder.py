"""Texts and chats to ids, in a checkpoint's own tokenizer and chat template. Knows nothing of what they are for."""

from collections.abc import Sequence

import numpy as np

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.tokenizer_files import template_of, tokenizer_of
from thinkport.export.errors import CheckpointError
from thinkport.export.reference.logits import Ids
from thinkport.runtime.prompt.prompt import PromptEncoder
from thinkport.runtime.prompt.template import Message


class Encoder:
    """A checkpoint's tokenizer and template, held against the model's vocabulary."""

    def __init__(self, checkpoint: Checkpoint, vocab_size: int) -> None:
        """Read them.

        Raises:
            CheckpointError: one of them can't be used, or the special tokens can't be read.
        """
        self._id, self._vocab_size = checkpoint.id, vocab_size
        self._tokenizer = tokenizer_of(checkpoint)
        self._template = None if checkpoint.chat_template is None else template_of(checkpoint)

    def text(self, text: str) -> Ids:
        """Ids of a plain text.

        Raises:
            CheckpointError: the tokenizer gives an id that the model doesn't have.
        """
        return self._checked(self._tokenizer.encode(text))

    def chat(self, messages: Sequence[Message], *, thinking: bool, to_be_answered: bool = True) -> Ids:
        """Ids of a chat, with the header of the reply behind it if it is `to_be_answered`.

        Without a chat template, ids of what is said, a line each.

        Raises:
            CheckpointError: as `text`.
            InputError: the template refuses the messages.
        """
        if self._template is None:
            return self.text("\n".join(message["content"] for message in messages))
        prompts = PromptEncoder(self._tokenizer, self._template)
        prompt = prompts.encode(messages, enable_thinking=thinking, add_generation_prompt=to_be_answered)
        return self._checked(prompt.ids)

    def _checked(self, ids: list[int]) -> Ids:
        if max(ids) >= self._vocab_size:
            raise CheckpointError(
                f"the tokenizer of {self._id} gives the id {max(ids)} and the model has {self._vocab_size}: "
                "they belong to different models, fetch both again"
            )
        return np.array(ids, np.int64)
