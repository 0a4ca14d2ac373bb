"""The calibration texts: languages, code, mathematics, chats with and without thinking, any ids.

They stand in `texts.json`, need no network and are the same each time. A certificate is measured on other texts.
"""

import json
from importlib.resources import files

import numpy as np

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.reference.encoder import Encoder
from thinkport.export.reference.logits import Ids

SOME_TOKENS = 64  # of each text of a sample: enough to tell which matrices matter most
MANY_TOKENS = 96  # of every text: correlations of channels need thousands of tokens, and ranges nearly as many
SAMPLE = 6  # every sixth text
HALF = 2  # every second text
_SEED = 4711  # another than the certificate's, whose random prompt would otherwise begin alike


def calibration_texts(checkpoint: Checkpoint, vocab_size: int, most_tokens: int, every: int = 1) -> list[Ids]:
    """Ids of each `every`th text, a sequence of its own of `most_tokens` at most; the last one are ids at random.

    Raises:
        ThinkportError: the tokenizer or the chat template can't be used, or they don't fit the model.
    """
    encoder = Encoder(checkpoint, vocab_size)
    written = json.loads(files(__package__).joinpath("texts.json").read_text("utf-8"))
    texts = [encoder.text(text) for text in written["texts"]]
    chats = [encoder.chat(messages, thinking=True, to_be_answered=False) for messages in written["chats"]]
    rare = np.random.default_rng(_SEED).integers(0, vocab_size, most_tokens)  # louder than the tokens of any text
    return [ids[:most_tokens] for ids in (*[*texts, *chats][::every], rare)]
