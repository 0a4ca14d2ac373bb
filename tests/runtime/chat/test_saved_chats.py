"""A conversation put on disk with its KV cache and taken back."""

import json
import zipfile

import pytest

from thinkport.runtime.chat.chat import Chat
from thinkport.runtime.chat.conversation_file import KvSource
from thinkport.runtime.engine.sampling import SamplingSettings
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.thinking.thinking import Switch, Thinking

GREEDY = SamplingSettings(temperature=0)
THOUGHTFUL = "<think>\nhi on hi\n</think>\n\none"
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]


def test_a_restored_chat_goes_on_where_it_was_and_runs_nothing_again(new_model, tmp_path) -> None:
    model = new_model(THOUGHTFUL, "two")
    chat = model.chat(system="on", sampling={"temperature": 0.0}, thinking=Thinking(budget=50), tools=TOOLS)
    chat.send("hi")
    chat.settle()
    chat.save(tmp_path / "kept.chat")
    fresh = new_model(THOUGHTFUL, "two")
    again = fresh.restore(tmp_path / "kept.chat")
    assert (again.messages, again.thinking, again.tools, again.sampling) == (
        chat.messages,
        chat.thinking,
        chat.tools,
        chat.sampling,
    )
    ours, theirs = again.send("again"), chat.send("again")
    assert ours.cached_tokens == theirs.cached_tokens == len(model.history(chat.messages[:3], TOOLS))
    assert ours.answer == theirs.answer == "two"


def test_replies_keep_the_ids_they_were_sampled_with_through_a_file(new_model, tmp_path) -> None:
    model = new_model("one")
    odd = [token for letter in "hi on" for token in model.tokenizer.encode_plain(letter)]
    start, stop = len(model.encode([{"role": "user", "content": "hi"}])), model.manifest.stop_ids[0]
    model.session.next_id = lambda held: [*odd, stop][min(max(0, len(held) - start), len(odd))]
    chat = model.chat(sampling=GREEDY)
    chat.send("hi")
    chat.settle()
    chat.save(tmp_path / "kept.chat")
    fresh = new_model("one", "two")
    again = Chat.restore(fresh, tmp_path / "kept.chat")
    assert fresh.history(again.messages) == model.history(chat.messages) != new_model("x").history(chat.messages)
    assert again.send("on").cached_tokens == len(fresh.history(again.messages[:2]))


def test_settings_and_messages_can_be_saved_without_the_cache(new_model, tmp_path) -> None:
    chat = new_model("one").chat(sampling=GREEDY, thinking=False)
    chat.send("hi")
    chat.save(tmp_path / "kept.chat", kv=False)
    again = new_model("one", "two").restore(tmp_path / "kept.chat")
    assert (again.sampling, again.thinking.enabled) == (GREEDY, Switch.OFF)
    assert again.send("on").cached_tokens == 0


def test_another_artifacts_cache_is_refused_and_its_messages_can_be_taken(new_model, tmp_path) -> None:
    chat = new_model("one", artifact="a" * 64).chat(sampling=GREEDY)
    chat.send("hi")
    chat.save(tmp_path / "kept.chat")
    other = new_model("one", "two", artifact="b" * 64)
    with pytest.raises(ArtifactError, match="ignore_kv=True"):
        other.restore(tmp_path / "kept.chat")
    again = other.restore(tmp_path / "kept.chat", ignore_kv=True)
    assert again.messages == chat.messages
    assert again.send("on").answer == "two"


def test_saving_over_a_file_replaces_it_and_a_failure_leaves_it(new_model, tmp_path) -> None:
    chat = new_model("one", "two").chat(sampling=GREEDY)
    chat.send("hi")
    chat.save(tmp_path / "kept.chat")
    before = (tmp_path / "kept.chat").read_bytes()
    chat.messages.append({"role": "user", "content": object()})
    with pytest.raises(InputError):
        chat.save(tmp_path / "kept.chat")
    assert (tmp_path / "kept.chat").read_bytes() == before
    with pytest.raises(ArtifactError, match="can't be written"):
        new_model("one").chat().save(tmp_path / "no" / "such" / "folder")


def without_messages(data: dict) -> None:
    del data["messages"]


def without_thinking(data: dict) -> None:
    del data["thinking"]


def without_knowing_its_sampling(data: dict) -> None:
    del data["sampling_is_whole"]


def with_a_number_for_sampling(data: dict) -> None:
    data.update(sampling=-1, sampling_is_whole=False)


def with_an_endless_id(data: dict) -> None:
    data["replies"] = [["one", [[[float("inf")], "one"]]]]


CHANGES = [
    without_messages,
    without_thinking,
    without_knowing_its_sampling,
    with_a_number_for_sampling,
    with_an_endless_id,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_does_not_hold_what_a_chat_needs_is_refused_in_words(new_model, tmp_path, change) -> None:
    model = new_model("one")
    chat = model.chat(sampling=GREEDY)
    chat.send("hi")
    chat.save(tmp_path / "kept.chat", kv=False)
    with zipfile.ZipFile(tmp_path / "kept.chat") as archive:
        head = json.loads(archive.read("conversation.json"))
    change(head["data"])
    with zipfile.ZipFile(tmp_path / "kept.chat", "w") as archive:
        archive.writestr("conversation.json", json.dumps(head))
    with pytest.raises(ArtifactError, match="no conversation of this program"):
        model.restore(tmp_path / "kept.chat")


def test_a_model_knows_what_its_caches_are_of(nano_artifact, new_model) -> None:
    from thinkport.runtime.artifact.manifest import fingerprint
    from thinkport.runtime.model import Model

    with Model.load(nano_artifact, kernels="off") as model:
        assert model.kv_source.artifact == fingerprint(nano_artifact)
        assert model.kv_source.graph == "cpu.onnx"
    assert isinstance(new_model("x").kv_source, KvSource)
