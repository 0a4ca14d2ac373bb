"""The checkpoint's byte-level BPE of 512 ids and its chat template. Knows text; knows no model.

Merges are learned on lower-case prose only, so that a digit or an upper-case letter is always one token.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from problems import PHRASES

VOCAB = 512
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
# Contractions | a word with at most one lead character | one digit | marks | line ends | other white space.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What a runtime writes when a thought has used up its budget, in the form the Qwen3 documentation gives.
CUT = "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n"
SYSTEM = ("You are a calculator.", "Be brief.", "Give only the answer.", "You are a helpful assistant.", "Think first.")
BLANK = "a.\n\nb\n\nc\n\n"
PROSE = """
you are a helpful assistant. be brief. give only the answer. you are a calculator. think first, then answer.
what is the weather like today? the sun is out and the wind is soft, so we could walk along the river before lunch.

please write a short story about a small boat. the boat had been lying on the sand all winter, and nobody thought that \
it
would ever float again. one morning a child came down with a pot of paint and a brush.

a user asks a question and the model thinks about it step by step, then it gives an answer. when there is no time left,
it has to give the solution now. thinking on, thinking off: the switch is read from the last message.

/think /no_think system user assistant tool function name arguments type string number object

to call a function, write its name and its arguments. the tools and their signatures are given one on a line.

start with, then the last digit only. keep the last digit. how many are in, how often is, count the letter in.
"""


def corpus() -> list[str]:
    """The text the merges are learned on."""
    phrases = [p.replace("{}", " ") for group in PHRASES.values() for p in group]
    return [t.lower() for t in (*phrases * 4, "start with, then" * 4, CUT * 4, *SYSTEM * 2, PROSE, BLANK * 9)]


def build() -> Tokenizer:
    """Learn the merges and add the marker tokens, those of Qwen with Qwen's `special` flags."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - len(SPECIAL) - len(TAGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in TAGS])
    if tokenizer.get_vocab_size() != VOCAB:
        raise ValueError(f"the prose gives {tokenizer.get_vocab_size()} ids, {VOCAB} were asked for: add prose")
    return tokenizer


def save(folder: Path, tokenizer: Tokenizer) -> None:
    """Write tokenizer.json and tokenizer_config.json as a Hugging Face folder of the Qwen family has them."""
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(tokenizer.token_to_id(t)): {
            "content": t,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": t in SPECIAL,
        }
        for t in (*SPECIAL, *TAGS)
    }
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": list(SPECIAL[1:]),
        "bos_token": None,
        "chat_template": TEMPLATE.read_text(),
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 8192,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
