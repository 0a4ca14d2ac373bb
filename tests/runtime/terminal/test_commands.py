"""The commands: what they do to a chat, and what is never sent to the model."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from thinkport.runtime.errors import InputError
from thinkport.runtime.events import OtherThought, ParallelThoughts
from thinkport.runtime.terminal.commands import COMMANDS, answer_line
from thinkport.runtime.thinking.thinking import Choose, Switch, Thinking


def said(conversation) -> list[str]:
    return [asked["text"] for asked in conversation.chat.asked]


def turn(conversation, line: str):
    """Runs a line to the end of its reply, if it has one."""
    result = answer_line(conversation, line)
    for event in result.reply or ():
        last = event
    if result.reply is not None:
        conversation.finish(last)
    return result


@pytest.mark.parametrize(
    ("line", "enabled"),
    [("/think", Switch.ON), ("/no_think", Switch.OFF), (" /no-think ", Switch.OFF), ("/auto", Switch.AUTO)],
)
def test_a_switch_alone_on_a_line_is_the_chats(talk, line: str, enabled: Switch) -> None:
    conversation = talk()
    assert turn(conversation, line).notice == f"thinking {enabled}"
    assert conversation.chat.thinking == Thinking(enabled=enabled)
    assert said(conversation) == []


@pytest.mark.parametrize("line", ["/no_think What is 2+2?", "What is 2+2? /no_think", "/think\nWhat?"])
def test_a_switch_within_a_message_is_the_models(talk, line: str) -> None:
    conversation = talk()
    turn(conversation, line)
    assert said(conversation) == [line]
    assert conversation.chat.thinking == Thinking()


def test_a_budget_is_set_shown_and_taken_away(talk) -> None:
    conversation = talk()
    assert turn(conversation, "/budget 512").notice == "thinking budget 512 tokens"
    assert conversation.chat.thinking.budget == 512
    assert turn(conversation, "/budget").notice == "thinking budget 512 tokens"
    assert turn(conversation, "/budget off").notice == "no thinking budget"
    with pytest.raises(InputError, match="takes a number of tokens or off, not 'many'"):
        turn(conversation, "/budget many")


def test_thoughts_at_a_time_are_set_shown_and_refused_at_once(talk) -> None:
    conversation = talk()
    assert turn(conversation, "/width 4 vote").notice == "4 thoughts at a time, vote"
    assert conversation.chat.thinking == Thinking(width=4, choose=Choose.VOTE)
    for line, told in (
        ("/width 9", "width is 9, expected at most 8"),
        ("/width 0", "width is 0"),
        ("/width 2 x", "'2 x'"),
    ):
        with pytest.raises(InputError, match=told):
            turn(conversation, line)
    assert conversation.chat.thinking.width == 4
    assert turn(conversation, "/width 1").notice == "one thought at a time"


@pytest.mark.parametrize("command", ["budget", "width"])
def test_a_number_too_long_to_read_is_refused(talk, command: str) -> None:
    with pytest.raises(InputError, match=f"/{command} takes a number of"):
        turn(talk(), f"/{command} {'9' * 5000}")


def test_a_system_message_is_set_shown_and_taken_away(talk) -> None:
    conversation = talk()
    turn(conversation, "/system Be brief.\nBe kind.")
    assert conversation.chat.system == "Be brief.\nBe kind."
    assert "Be kind." in turn(conversation, "/system").notice
    assert turn(conversation, "/system off").notice == "no system message"


def test_undo_gives_the_message_back_to_be_edited(talk) -> None:
    conversation = talk()
    turn(conversation, "What?")
    result = turn(conversation, "/undo")
    assert (result.notice, result.edit, conversation.chat.messages) == ("took back: What?", "What?", [])
    assert turn(conversation, "/undo").notice == "nothing to take back"


def test_retry_asks_again_with_the_same_options(talk) -> None:
    conversation = talk(options={"max_tokens": 5})
    turn(conversation, "What?")
    turn(conversation, "/retry")
    assert conversation.chat.asked == [{"text": "What?", "max_tokens": 5}] * 2
    assert len(conversation.ends) == 2


def test_a_chat_is_saved_and_loaded(talk, tmp_path) -> None:
    conversation = talk()
    turn(conversation, "What?")
    turn(conversation, f'/save "{tmp_path / "a chat"}"')
    turn(conversation, "/new")
    assert conversation.chat.messages == []
    assert turn(conversation, f"/load {tmp_path / 'a chat'}").notice.startswith("loaded 2 messages from")
    assert conversation.chat.messages[0]["content"] == "What?"


def test_a_new_chat_keeps_the_settings(talk) -> None:
    conversation = talk()
    for line in ("/system Be brief.", "/budget 7", "/new"):
        turn(conversation, line)
    assert len(conversation.model.chats) == 2
    assert (conversation.chat.system, conversation.chat.thinking) == ("Be brief.", Thinking(budget=7))


def test_the_last_thought_is_shown_and_folding_is_switched(talk, script) -> None:
    conversation = talk(script(thought="\nhm\x1b hm\n", answer="yes"))
    assert turn(conversation, "/thought").notice == "the last reply has no thought"
    turn(conversation, "What?")
    assert turn(conversation, "/thought").notice == "hm\u241b hm"
    turn(conversation, "/thought show")
    assert conversation.unfolded
    with pytest.raises(InputError, match="takes show, fold or others"):
        turn(conversation, "/thought hide")


def test_other_thoughts_are_shown_with_what_their_tokens_are_of(talk) -> None:
    conversation = talk()
    assert turn(conversation, "/thought others").notice == "the last reply has no other thoughts"
    turn(conversation, "x")
    others = (OtherThought(thought="hm", tokens=67, answer="4\n"), OtherThought(thought="so", tokens=9))
    parallel = ParallelThoughts(asked=3, width=3, chosen=0, choose=Choose.VOTE, reason="…", others=others)
    conversation.last = replace(conversation.last, parallel=parallel)
    first, second = turn(conversation, "/thought others").notice.split("\n\n")
    assert first.splitlines() == ["thought 1 · 67 tokens with its answer · stopped · answered 4", "hm"]
    assert second.splitlines() == ["thought 2 · 9 tokens · stopped", "so"]


def test_the_stats_are_sums(talk, script) -> None:
    conversation = talk(script(thought="a b", answer="c d e"))
    turn(conversation, "x")
    turn(conversation, "/no_think")
    turn(conversation, "x")
    shown = turn(conversation, "/stats").notice
    assert "turns    2 in 4.0 s" in shown
    assert "prompts  18 tokens, 8 of them cached; the others 10 tokens at 10.0/s" in shown
    assert "thoughts 2 tokens at 2.0/s in 1.0 s; ended: natural 1, off 1" in shown
    assert "answers  6 tokens at 3.0/s in 2.0 s; ended: stop 2" in shown


def test_two_slashes_begin_a_message_with_one(talk) -> None:
    conversation = talk()
    turn(conversation, "//etc/passwd is what?")
    assert said(conversation) == ["/etc/passwd is what?"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/unddo", "did you mean /undo"),
        ("/usr/bin/env", "/help shows them all"),
        ("/", "/help shows them all"),
        ("/new please", "takes nothing after it"),
        ("/save", "/save FILE"),
    ],
)
def test_a_wrong_command_says_so_and_sends_nothing(talk, line: str, says: str) -> None:
    conversation = talk()
    with pytest.raises(InputError, match=says):
        turn(conversation, line)
    assert said(conversation) == []


def test_help_names_every_command(talk) -> None:
    shown = turn(talk(), "/help").notice
    assert all(f"{command.usage} " in shown for command in COMMANDS)
    assert "Ctrl-D" in shown


def test_exit_leaves(talk) -> None:
    assert turn(talk(), "/exit").leaves


def test_a_line_is_answered_on_a_graph_that_was_found_faster_meanwhile(talk) -> None:
    conversation = talk()
    card = SimpleNamespace(place="WebGpu, A card")
    conversation.model.provider_report = SimpleNamespace(chosen=card)
    list(conversation.say("hello"))
    assert conversation.provider == "cpu"
    conversation.model.refreshed = True
    list(conversation.say("hello"))
    assert conversation.provider == "webgpu, a card"
