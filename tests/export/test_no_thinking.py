"""Checkpoints that can't think, and base models without a chat template, become artifacts that say so when asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.export.trace.checkpoints import LLAMA, narrow_checkpoint

from thinkport.deploy.verification import verify
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime import Model
from thinkport.runtime.errors import InputError

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GREEDY = {"temperature": 0.0}


def rewritten(file: Path, **changes: Any) -> None:
    """Keys of a JSON file set, or taken out for None."""
    content = json.loads(file.read_text(encoding="utf-8")) | changes
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def artifact(folder: Path, template: str | None) -> Path:
    """A whole artifact of a Llama whose tokenizer has no thinking tokens."""
    checkpoint = narrow_checkpoint(folder / "checkpoint", **LLAMA)
    rewritten(checkpoint / "tokenizer_config.json", chat_template=template, added_tokens_decoder=None)
    tokens = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    kept = [token for token in tokens if "think" not in token["content"]]
    rewritten(checkpoint / "tokenizer.json", added_tokens=kept)
    export(ExportSettings(checkpoint=str(checkpoint), output=folder / "artifact", targets=("cpu",)))
    return folder / "artifact"


@pytest.fixture(scope="module")
def unthinking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artifact(tmp_path_factory.mktemp("unthinking"), TEMPLATE)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return artifact(tmp_path_factory.mktemp("base"), None)


def test_a_model_that_can_not_think_answers(unthinking: Path) -> None:
    with Model.load(unthinking) as model:
        assert model.manifest.thinking is None
        replies = [model.generate("Hello", thinking=how, sampling=GREEDY, max_tokens=8) for how in (None, False)]
        assert replies[0].answer == replies[1].answer
        assert not replies[0].thought


def test_asking_it_to_think_is_an_error_that_says_so(unthinking: Path) -> None:
    with Model.load(unthinking) as model, pytest.raises(InputError, match="this model can't think"):
        model.generate("Hello", thinking=True, max_tokens=8)


@pytest.mark.parametrize("fixture", ["unthinking", "base"])
def test_its_certificate_holds(fixture: str, request: pytest.FixtureRequest) -> None:
    assert verify(request.getfixturevalue(fixture), full=True).passed


def test_a_base_model_says_why_it_does_not_chat(base: Path) -> None:
    with Model.load(base) as model, pytest.raises(InputError, match=r"has no chat template.*POST /v1/completions"):
        model.generate("Hello", max_tokens=8)
