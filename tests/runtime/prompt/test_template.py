"""The chat template: what it may use, and what it refuses in words. Its text is held to transformers' in prompts/."""

import pytest

from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.prompt.template import ChatTemplate

ENDLESS: list = []
ENDLESS.append(ENDLESS)


def test_special_tokens_are_variables_of_the_template() -> None:
    assert ChatTemplate("{{ eos_token }}", {"eos_token": "<e>"}).render([{"role": "user"}]) == "<e>"


def test_what_stands_after_a_reply_begins_with_what_ends_its_turn(template: ChatTemplate) -> None:
    assert template.after_reply.startswith("<|im_end|>\n<|im_start|>user\na")
    spaced = ChatTemplate("{% for m in messages %}{{ m.content }} \n</s>{% endfor %}", {})
    assert spaced.after_reply == "</s>a \n</s>"
    assert ChatTemplate("{{ raise_exception('no') }}", {}).after_reply == ""


def test_a_generation_block_renders_what_is_inside() -> None:
    source = "{% for m in messages %}{% generation %}[{{ m.content }}]{% endgeneration %}{% endfor %}"
    assert ChatTemplate(source, {}).render([{"role": "user", "content": "hi"}]) == "[hi]"


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ("x", []),
        ("x", ["hi"]),
        ("x", [{"content": "no role"}]),
        ("x", [{"role": "user", "content": object()}]),
        ("{{ raise_exception('no') }}", [{"role": "user", "content": "hi"}]),
        ("{{ messages[0].content + 1 }}", [{"role": "user", "content": "hi"}]),
        ("{{ 1 / 0 }}", [{"role": "user", "content": "hi"}]),
        ("x", [{"role": "user", "content": ENDLESS}]),
        ("x", [{"role": "user", "content": {("a", "b"): 1}}]),
        ("{{ ''.__class__.__mro__ }}", [{"role": "user", "content": "hi"}]),
        ("{{ messages.append(1) }}", [{"role": "user", "content": "hi"}]),
    ],
)
def test_what_a_template_cannot_take_or_may_not_do_is_an_input_error(source, messages) -> None:
    with pytest.raises(InputError):
        ChatTemplate(source, {}).render(messages)


@pytest.mark.parametrize("source", ["{% if %}", "{{ x | no_filter }}", "{% break %}", "{{ " + "(" * 3000 + "1"])
def test_a_template_with_wrong_syntax_is_an_artifact_error_of_one_line(tmp_path, source) -> None:
    (tmp_path / "t.jinja").write_text(source, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"^.*t\.jinja: the chat template can't be compiled .*: export .*$"):
        ChatTemplate.from_file(tmp_path / "t.jinja", {})


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "not UTF-8"])
def test_a_template_that_cannot_be_read_is_an_artifact_error(tmp_path, content) -> None:
    if content:
        (tmp_path / "t.jinja").write_bytes(content)
    with pytest.raises(ArtifactError, match="can't be read"):
        ChatTemplate.from_file(tmp_path / "t.jinja", {})
