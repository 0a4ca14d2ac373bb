"""Checkpoints that always think, never think, or don't chat: the export says so, and what is impossible is refused."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.export.test_no_thinking import rewritten
from tests.export.trace.checkpoints import NARROW, QWEN2, narrow_checkpoint

from thinkport.export.errors import CheckpointError
from thinkport.export.exporter import ExportReport, export
from thinkport.export.settings import ExportSettings
from thinkport.export.view import show_report
from thinkport.runtime import Model, Thinking
from thinkport.runtime.errors import InputError
from thinkport.runtime.thinking.thinking import ThinkingEnd

GREEDY = {"temperature": 0.0}
# In the manner of DeepSeek-R1's distilled models: thoughts of earlier turns are cut off, a reply begins with one.
DISTILLED = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|im_start|>user\n{{ m.content }}<|im_end|>"
    "{% else %}<|im_start|>assistant\n{{ m.content.split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
# In the manner of Qwen3's 2507 models: one always thinks, the other knows no thoughts though its tokenizer does.
_TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
THINKING = _TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
INSTRUCT = _TURNS + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

Make = Callable[[dict[str, Any], str | None], ExportReport]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Exports a narrow checkpoint of a configuration with a chat template."""

    def made(config: dict[str, Any], template: str | None) -> ExportReport:
        folder = tmp_path_factory.mktemp("variant")
        checkpoint = narrow_checkpoint(folder / "checkpoint", **config)
        rewritten(checkpoint / "tokenizer_config.json", chat_template=template)
        settings = ExportSettings(
            checkpoint=str(checkpoint), output=folder / "artifact", targets=("cpu",), certificate=False
        )
        return export(settings)

    return made


def shown(report: ExportReport) -> str:
    screen = io.StringIO()
    show_report(report, Console(file=screen, width=200))
    return screen.getvalue()


@pytest.mark.parametrize(("config", "template"), [(QWEN2, DISTILLED), (NARROW, THINKING)], ids=["R1", "2507"])
def test_a_template_that_opens_every_thought_always_thinks(make: Make, config: dict[str, Any], template: str) -> None:
    report = make(config, template)
    assert "can't be off: the chat template opens a thought" in shown(report)
    with Model.load(report.folder) as model:
        assert model.manifest.thinking is not None
        for switch in (None, True):
            thinking = Thinking(enabled=switch, answer_reserve=1)
            reply = model.generate("Hello", thinking=thinking, sampling=GREEDY, max_tokens=12)
            assert reply.thinking_end not in (ThinkingEnd.OFF, ThinkingEnd.NONE)
        with pytest.raises(InputError, match="thinking can't be switched off"):
            model.generate("Hello", thinking=False, max_tokens=6)
    asked = ExportSettings(
        checkpoint=str(report.folder.parent / "checkpoint"), output=report.folder.parent / "b", enable_thinking=False
    )
    with pytest.raises(CheckpointError, match="always opens a thought"):
        export(asked)


def test_a_distilled_models_next_turn_has_no_thought_of_the_last(make: Make) -> None:
    report = make(QWEN2, DISTILLED)
    with Model.load(report.folder) as model:
        said = [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "<think>\nwhy\n</think>\n\nyes"},
            {"role": "user", "content": "b"},
        ]
        rendered = model.render(said)
        assert "why" not in rendered
        assert rendered.endswith("<think>\n")


def test_a_template_that_knows_no_thoughts_can_not_be_asked_for_one(make: Make) -> None:
    report = make(NARROW, INSTRUCT)
    assert "can't be on" in shown(report)
    with Model.load(report.folder) as model:
        for switch in (None, False):
            model.generate("Hello", thinking=switch, sampling=GREEDY, max_tokens=4)
        with pytest.raises(InputError, match=r"can't be switched on: .*knows no thoughts"):
            model.generate("Hello", thinking=True, max_tokens=4)
    asked = ExportSettings(
        checkpoint=str(report.folder.parent / "checkpoint"), output=report.folder.parent / "b", enable_thinking=True
    )
    with pytest.raises(CheckpointError, match=r"knows no thoughts.*export without --think"):
        export(asked)
    assert not (report.folder.parent / "b").exists()


def test_a_checkpoint_without_a_template_is_said_to_complete_texts_only(make: Make) -> None:
    report = make(NARROW, None)
    assert "no chat: the checkpoint has no chat template" in shown(report)


def test_qwen3s_own_template_can_be_switched(make: Make, nano_checkpoint: Path, tmp_path: Path) -> None:
    settings = ExportSettings(
        checkpoint=str(nano_checkpoint), output=tmp_path / "artifact", targets=("cpu",), certificate=False
    )
    assert export(settings).thinking == "can be on or off"
