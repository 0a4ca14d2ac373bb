"""One checkpoint's tokenizer and template, as transformers has them and as this runtime has them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINTS = {"nano": ROOT / "artifacts" / "checkpoints" / "nano-qwen3", "qwen3": ROOT.parent / "shared" / "qwen3"}


@dataclass(frozen=True, kw_only=True)
class Both:
    """transformers' tokenizer (`theirs`), and this runtime's tokenizer and template, of one checkpoint."""

    name: str
    theirs: Any
    tokenizer: Tokenizer
    template: ChatTemplate

    def by_transformers(self, messages, *, enable_thinking=None, add_generation_prompt=True, **options) -> str | None:
        """The text of the prompt; None where transformers or the template refuses the messages."""
        options |= {"add_generation_prompt": add_generation_prompt, "tokenize": False}
        if enable_thinking is not None:
            options["enable_thinking"] = enable_thinking
        try:
            return self.theirs.apply_chat_template(messages, **options)
        except Exception:  # whatever the template stumbles over
            return None

    def rendered(self, messages, **options) -> str | None:
        """The text of the prompt by this runtime; None where it refuses the messages in words."""
        try:
            return self.template.render(messages, **options)
        except InputError:
            return None

    def markers(self, ids: list[int]) -> list[int]:
        """The added tokens among ids."""
        added = set(self.tokenizer.added.values())
        return [token for token in ids if token in added]


@pytest.fixture(scope="session", params=CHECKPOINTS)
def both(request) -> Both:
    folder = CHECKPOINTS[request.param]
    if not (folder / "tokenizer.json").is_file():
        pytest.skip(f"the {request.param} tokenizer is not there")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    template = ChatTemplate(theirs.chat_template, theirs.special_tokens_map)
    return Both(
        name=request.param,
        theirs=theirs,
        tokenizer=Tokenizer.from_file(folder / "tokenizer.json"),
        template=template,
    )
