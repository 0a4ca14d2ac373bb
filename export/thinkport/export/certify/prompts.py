"""What an artifact is asked when it is certified: short chats in the checkpoint's own words, and ids at random.

Made without a network and the same each time. Few tokens, since logits of all of them are held at once.
"""

import numpy as np

from thinkport.export.certify.encoder import Encoder
from thinkport.export.certify.reference import Ids
from thinkport.export.checkpoint import Checkpoint
from thinkport.runtime.template import Message

MOST_TOKENS = 48  # of one prompt: four of them times 151,936 logits are 117 MB

_CHATS: tuple[tuple[bool, list[Message]], ...] = (
    (True, [{"role": "user", "content": "How many letters r are in the word strawberry?"}]),
    (False, [{"role": "user", "content": "What is 4817 + 2596?"}]),
    (
        False,
        [
            {"role": "user", "content": "Name a city by the sea."},
            {"role": "assistant", "content": "Lisbon."},
            {"role": "user", "content": "In which country is it?"},
        ],
    ),
)


def golden_prompts(checkpoint: Checkpoint, vocab_size: int) -> list[Ids]:
    """Ids of the prompts, each at most `MOST_TOKENS` long.

    Raises:
        ThinkportError: the tokenizer or the chat template can't be used, or they don't fit the model.
    """
    encoder = Encoder(checkpoint, vocab_size)
    chats = [encoder.chat(messages, thinking=thinking) for thinking, messages in _CHATS]
    random_ids = np.random.default_rng(0).integers(0, vocab_size, MOST_TOKENS)
    return [*(ids[:MOST_TOKENS] for ids in chats), random_ids]
