"""The calibration texts: languages, code, mathematics, a chat that thinks, any ids.

Made without a network and the same each time. Short, since the whole model runs over every token in float32; other
texts than the ones a certificate is measured on.
"""

import numpy as np

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.reference.encoder import Encoder
from thinkport.export.reference.logits import Ids
from thinkport.runtime.prompt.template import Message

MOST_TOKENS = 40  # of one text
CHAT_TOKENS = 96
RANDOM_TOKENS = 24  # rare tokens are louder than those of any text
RANDOM_TEXTS = 4  # more texts of such ids for correlations of channels, which few tokens don't show
LONGER = 64
_SEED = 4711  # another than the certificate's, whose random prompt would otherwise begin alike

_TEXTS = (
    "The keeper of the lighthouse wrote down the weather every evening. Der Himmel lügt nie, sagte sein Vater. "
    "El mar estaba tranquilo aquella noche, et personne ne dormait.",
    "灯塔看守人每天晚上记录天气，船在半夜到达。夜になると霧が深くなった。등대의 불빛이 멀리서 보였다.",
    "Ночью пришёл корабль без огней. كان البحر هادئا في تلك الليلة. रात में हवा तेज़ हो गई।",
    "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n"
    "    return ordered[middle] if len(ordered) % 2 else sum(ordered[middle - 1 : middle + 1]) / 2\n\n"
    '{"tide": [3.4, 0.9], "ok": true}\n',
    "Let $f(x) = x^3 - 6x^2 + 11x - 6$. Since $f(1) = 0$, we have $f(x) = (x - 1)(x - 2)(x - 3)$. "
    "4817 + 2596 = 7413; 86 * 57 = 4902.",
)

_CHAT: list[Message] = [
    {"role": "user", "content": "A tank holds 240 litres and leaks 3 litres an hour. How much is left after 17 hours?"},
    {
        "role": "assistant",
        "reasoning_content": "17 * 3 = 51 litres are lost. 240 - 51 = 189. Check: 189 + 51 = 240, yes.",
        "content": "After 17 hours **189 litres** are left.",
    },
]


def calibration_texts(checkpoint: Checkpoint, vocab_size: int) -> list[Ids]:
    """Ids of the texts, each a sequence of its own.

    Raises:
        ThinkportError: the tokenizer or the chat template can't be used, or they don't fit the model.
    """
    encoder = Encoder(checkpoint, vocab_size)
    texts = [encoder.text(text)[:MOST_TOKENS] for text in _TEXTS]
    chat = encoder.chat(_CHAT, thinking=True, to_be_answered=False)[:CHAT_TOKENS]
    random_ids = np.random.default_rng(_SEED).integers(0, vocab_size, RANDOM_TOKENS)
    return [*texts, chat, random_ids]


def compensation_texts(checkpoint: Checkpoint, vocab_size: int) -> list[Ids]:
    """The same texts, with more ids at random.

    Raises:
        ThinkportError: as `calibration_texts`.
    """
    ids = np.random.default_rng(_SEED + 1).integers(0, vocab_size, (RANDOM_TEXTS, LONGER))
    return [*calibration_texts(checkpoint, vocab_size), *ids]
