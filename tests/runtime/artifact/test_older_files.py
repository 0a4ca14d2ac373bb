"""Files that the first state of 0.1 wrote still open: what people have on their disks is not theirs to mend."""

from pathlib import Path

from thinkport.runtime.artifact.manifest import Manifest

SAMPLES = Path(__file__).parent / "samples"
GREEDY = {"temperature": 0}


def test_a_conversation_of_before_goes_on_with_its_kv_cache(new_model) -> None:
    """It was saved over the made-up model: a system message, a tool, a turn with a thought, settled."""
    model = new_model("<think>\nhi on hi\n</think>\n\none", "<think>\nhi\n</think>\n\ntwo", artifact="a" * 8)
    chat = model.restore(SAMPLES / "conversation-of-november")
    assert [message["content"] for message in chat.messages] == ["on", "hi", "one"]
    assert chat.messages[2]["reasoning_content"] == "hi on hi"
    known = len(model.history(chat.messages, chat.tools, True))
    end = chat.send("on", sampling=GREEDY)
    assert (end.answer, end.cached_tokens) == ("two", known)


def test_a_manifest_of_before_is_read() -> None:
    manifest = Manifest.model_validate_json((SAMPLES / "manifest-of-november.json").read_text(encoding="utf-8"))
    assert manifest.graphs
    assert manifest.certificate is not None
    assert manifest.certificate.warning is None
