"""The runtime on the trained nano model: real graphs, every kind of KV cache, held against PyTorch where it matters."""

import json
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.recorder import GREEDY, Recorder

from thinkport.runtime import ArtifactError, End, Finish, InputError, Model, ThinkingEnd
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest

TOLERANCE = 2e-3  # fp32 logits after a few layers


@pytest.fixture(scope="module")
def model(nano_artifact: Path):
    with Model.load(nano_artifact) as loaded:
        yield loaded


@pytest.fixture(scope="module", params=["nano_fp32_artifact", "nano_unfused_artifact"])
def exact(request):
    """The model in fp32: fused, with its KV cache in place, and as traced, with an appended one."""
    with Model.load(request.getfixturevalue(request.param)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def reference(nano_checkpoint: Path):
    """Logits of ids (batch, sequence) by PyTorch."""
    reason = "transformers and torch are not installed"
    torch = pytest.importorskip("torch", reason=reason)
    transformers = pytest.importorskip("transformers", reason=reason)
    network = transformers.AutoModelForCausalLM.from_pretrained(nano_checkpoint, dtype=torch.float32).eval()

    def run(ids):
        with torch.no_grad():
            return network(torch.from_numpy(np.asarray(ids, np.int64))).logits.numpy()

    return run


def some_ids(model: Model, *shape: int, seed: int = 0):
    return np.random.default_rng(seed).integers(0, model.manifest.model.vocab_size, shape)


def test_shared_steps_over_unequal_pasts_give_pytorchs_logits(exact, reference) -> None:
    if not exact.session.ragged_batches:
        pytest.skip("this graph's KV cache has no slots: its replies take turns")
    texts = [some_ids(exact, 1, length, seed=length) for length in (3, 120, 31, 260)]
    lanes = [exact.session.open_lane() for _ in texts]
    for lane, text in zip(lanes, texts, strict=True):
        lane.step(text[:, :-2])
    for part in exact.session.together.run(lanes, [int(text[0, -2]) for text in texts]):
        assert part.shape == (1, 1, exact.manifest.model.vocab_size)
    for part in lanes[0].slotted.slot.slab.parts:
        for row, lane in zip(part, lanes, strict=False):
            row[:, lane.length :] = np.nan  # what a slot holds behind its row is nobody's
        part[len(lanes) :] = np.nan
    found = exact.session.together.run(lanes, [int(text[0, -1]) for text in texts])
    for text, logits in zip(texts, found, strict=True):
        assert np.abs(logits[0, 0] - reference(text)[0, -1]).max() < TOLERANCE


def test_prefill_pieces_and_decode_steps_give_pytorchs_logits(exact, reference) -> None:
    ids, engine = some_ids(exact, 1, 330), exact.engine()
    steps = [ids[:, :100], ids[:, 100:300], *(ids[:, at : at + 1] for at in range(300, 330))]
    ours = np.concatenate([engine.logits(step, keep=step.shape[1]) for step in steps], axis=1)
    assert np.abs(ours - reference(ids)).max() < TOLERANCE


def test_a_batch_of_equal_lengths_gives_pytorchs_logits(exact, reference) -> None:
    ids, engine = some_ids(exact, 3, 20), exact.engine()
    engine.logits(ids[:, :18])
    ours = [engine.logits(ids[:, at : at + 1]) for at in (18, 19)]
    assert np.abs(np.concatenate(ours, axis=1) - reference(ids)[:, 18:]).max() < TOLERANCE


def test_a_right_padded_batch_gives_each_row_its_own_logits(exact, reference) -> None:
    lengths, ids, engine = [40, 7, 23], some_ids(exact, 3, 40), exact.engine()
    if not exact.session.ragged_batches:
        with pytest.raises(InputError, match="unequal lengths"):
            engine.logits(ids, lengths=lengths)
        return
    later = some_ids(exact, 3, 4, seed=1)
    prefilled = engine.logits(ids, lengths=lengths, keep=4)
    decoded = np.concatenate([engine.logits(later[:, at : at + 1]) for at in range(4)], axis=1)
    for row, length in enumerate(lengths):
        whole = reference(np.concatenate([ids[row, :length], later[row]])[None])[0]
        assert np.abs(prefilled[row] - whole[length - 4 : length]).max() < TOLERANCE
        assert np.abs(decoded[row] - whole[length:]).max() < TOLERANCE


def test_a_step_that_onnx_runtime_refuses_is_an_artifact_error_and_leaves_the_cache(exact) -> None:
    lane = exact.session.open_lane()
    before = lane.step(np.array([[1, 2]])).copy()
    with pytest.raises(ArtifactError, match="failed in a step of 1 tokens over 2"):
        lane.step(np.array([[10**9]]))
    lane.trim(1)
    assert np.abs(lane.step(np.array([[2]])) - before).max() < TOLERANCE


BASE = [0, 1, 2, 0, 1, 2, 2, 1]
TAILS = st.lists(st.integers(3, 5), min_size=1, max_size=5)  # no token of BASE: a prompt leaves it where it is cut


@given(st.lists(st.tuples(st.integers(1, len(BASE) - 1), TAILS), min_size=1, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
def test_after_any_rewinds_the_logits_are_those_of_a_cold_run(exact, cuts) -> None:
    warm = exact.engine()
    partly = []
    for prompt in [BASE, *(BASE[:cut] + tail for cut, tail in cuts)]:
        held, ours, cold = list(warm.ids), Recorder(), Recorder()
        reply = warm.generate(prompt, ours, max_tokens=3)
        list(reply)
        list(exact.engine().generate(prompt, cold, max_tokens=3))
        assert np.abs(np.array(ours.seen) - np.array(cold.seen)).max() < TOLERANCE
        partly.append(0 < reply.reused < len(held))
    assert partly[1], "the first prompt's tokens were kept up to the cut, and no others"


def test_two_chats_over_one_model_do_not_touch_each_other(model) -> None:
    alone = model.chat().send("What is 3 plus 4?", sampling=GREEDY, max_tokens=12).answer
    first, second = model.chat(), model.chat()
    streams = [
        first.stream("What is 3 plus 4?", sampling=GREEDY, max_tokens=12),
        second.stream("Count the letters.", sampling=GREEDY, max_tokens=12),
    ]
    turns = list(zip_longest(*streams))
    assert [end.answer for end, _ in turns if isinstance(end, End)] == [alone]


def test_a_seed_repeats_a_reply_and_the_cache_changes_nothing(model) -> None:
    chat = model.chat()
    first = chat.send("What is 3 plus 4?", seed=7, max_tokens=40)
    chat.messages.clear()
    again = chat.send("What is 3 plus 4?", seed=7, max_tokens=40)
    assert again.cached_tokens == first.prompt_tokens - 1
    assert (again.thought, again.answer) == (first.thought, first.answer)


def test_thinking_can_be_switched_off(model) -> None:
    end = model.generate("What is 3 plus 4?", thinking=False, max_tokens=40, seed=0)
    assert (end.thinking_end, end.thought, end.thought_tokens) == (ThinkingEnd.OFF, "", 0)


def test_a_second_turn_prefills_only_what_is_new(model) -> None:
    chat = model.chat(thinking=False)
    first = chat.send("What is 3 plus 4?", max_tokens=20, seed=0)
    second = chat.send("And 5 plus 6?", max_tokens=20, seed=0)
    assert second.cached_tokens >= first.prompt_tokens - len(model.tokenizer.encode("<think>\n\n</think>\n\n"))
    assert second.prefill.tokens < second.prompt_tokens


def test_a_reply_may_be_cancelled(model) -> None:
    chat = model.chat()
    events = []
    for event in chat.stream("What is 3 plus 4?", max_tokens=100, seed=0):
        events.append(event)
        chat.cancel()
    assert events[-1].answer_end is Finish.CANCELLED


def test_a_prompt_longer_than_the_context_is_refused(model) -> None:
    with pytest.raises(InputError, match="the model's maximum context length is"):
        model.generate("hi " * model.manifest.model.context_length)


def test_an_artifact_that_names_too_few_stop_ids_stops_at_what_its_template_writes_after_a_turn(
    nano_artifact: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(nano_artifact, tmp_path / "copy")
    manifest = read_manifest(copy)
    end = manifest.stop_ids[0]
    older = manifest.model_copy(update={"stop_ids": manifest.stop_ids[1:], "manifest_sha256": None})
    (copy / MANIFEST_NAME).write_text(older.model_dump_json(), encoding="utf-8")
    with Model.load(copy) as model:
        assert end not in older.stop_ids
        assert model.manifest.stop_ids == [*older.stop_ids, end]
        reply = model.generate("What is 3 plus 4?", thinking=False, max_tokens=40, seed=0)
    assert reply.answer_end is Finish.STOP
    assert "<|im_end|>" not in reply.answer


def test_generate_writes_one_json_object(nano_artifact: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from thinkport.runtime.cli.main import main; main()",
        "generate",
        str(nano_artifact),
    ]
    options = ["What is 3 plus 4?", "--no-think", "--max-tokens", "20", "--seed", "1", "--json"]
    ended = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["thinking_end"] == "off"


def test_chat_works_over_a_pipe(nano_artifact: Path) -> None:
    command = [sys.executable, "-c", "from thinkport.runtime.cli.main import main; main()", "chat", str(nano_artifact)]
    said = "What is 3 plus 4?\nAnd 5 plus 6?\n/exit\nnot read\n"
    ended = subprocess.run([*command, "--max-tokens", "20"], input=said, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("answer") == 2
