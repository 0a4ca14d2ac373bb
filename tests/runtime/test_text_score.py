"""A text's score is the checkpoint's own log softmax, however it is cut into windows and whatever its length."""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from thinkport.runtime import InputError, Model, Sampler, SamplingSettings, Stop
from thinkport.runtime.engine.engine import ROWS
from thinkport.runtime.text_score import TextScore, windows

TEXT = "What is 86*57?\n86 * 57 = 4902. Größe: 12 ½ — naïve, 東京!\n" * 3
BOUND = 1e-4  # nats


@pytest.fixture(scope="module")
def model(nano_fp32_artifact: Path) -> Iterator[Model]:
    with Model.load(nano_fp32_artifact) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def checkpoint(nano_checkpoint: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(nano_checkpoint, dtype=torch.float32).eval()


def expected(checkpoint: torch.nn.Module, ids: list[int]) -> np.ndarray:
    """The log probability of each id but the first after those before it, by PyTorch."""
    with torch.inference_mode():
        logs = torch.log_softmax(checkpoint(torch.tensor([ids])).logits[0].double(), -1)
    return logs[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0].numpy()


def logprobs(found: TextScore) -> list[float]:
    return [token.logprob for token in found.tokens if token.logprob is not None]


def test_each_token_has_the_checkpoints_log_probability(model: Model, checkpoint: torch.nn.Module) -> None:
    ids = model.tokenizer.encode(TEXT)
    assert len(ids) > 2 * ROWS  # several steps
    found, right = model.score(TEXT), expected(checkpoint, ids)
    assert found.tokens[0].logprob is None
    assert found.positions == len(ids) - 1
    apart = np.abs(np.array(logprobs(found)) - right).max()
    print(f"largest difference {apart:.1e} nats")
    assert apart <= BOUND
    assert found.logprob == pytest.approx(right.sum(), abs=BOUND * len(ids))
    assert found.perplexity == pytest.approx(np.exp(-right.mean()), rel=1e-4)
    assert found.bits_per_byte == pytest.approx(-right.sum() / math.log(2) / found.bytes, rel=1e-4)


def test_places_of_tokens_cover_the_text(model: Model) -> None:
    found = model.score(TEXT)
    assert found.text == TEXT
    assert found.tokens[0].start == 0
    assert found.tokens[-1].end == len(TEXT)
    assert all(one.end == after.start for one, after in pairwise(found.tokens))
    assert found.bytes == len(TEXT.encode()) - len(model.tokenizer.decode([found.tokens[0].id]).encode())


def test_a_continuation_is_scored_after_its_prompt(model: Model, checkpoint: torch.nn.Module) -> None:
    prompt, answer = "What is 3*4? ", "12"
    found = model.score(prompt, answer)
    ids = model.tokenizer.encode(prompt + answer)
    count = len(ids) - len(model.tokenizer.encode(prompt.rstrip()))
    assert len(found.tokens) == found.positions == count  # the space before a word is the continuation's
    np.testing.assert_allclose(logprobs(found), expected(checkpoint, ids)[-count:], atol=BOUND)


def test_a_continuation_is_greedy_where_the_model_would_say_it(model: Model) -> None:
    prompt = model.encode([{"role": "user", "content": "What is 3*4?"}], enable_thinking=False)
    sampler = Sampler(SamplingSettings(temperature=0))
    drawn = [token.id for token in model.engine().generate(prompt, sampler, max_tokens=4)]
    reply = [one for one in drawn if one is not None]
    assert model.score(prompt, reply).greedy
    other = [*reply[:-1], (reply[-1] + 1) % model.manifest.model.vocab_size]
    assert not model.score(prompt, other).greedy


def test_a_text_longer_than_a_window_is_scored_in_windows(model: Model, checkpoint: torch.nn.Module) -> None:
    ids = model.tokenizer.encode(TEXT)
    found = model.score(TEXT, window=40, stride=25)
    assert (found.windows, found.window, found.stride) == (math.ceil((len(ids) - 1) / 25), 40, 25)
    assert found.positions == len(ids) - 1
    right: list[float] = []
    for begin, start, end in windows(len(ids), 1, 40, 25):
        right += expected(checkpoint, ids[begin:end])[start - begin - 1 :].tolist()
    np.testing.assert_allclose(logprobs(found), right, atol=BOUND)


@pytest.mark.parametrize("tokens", [1, 5, 39, 40, 41, 80, 81, 200])
@pytest.mark.parametrize("window", [1, 7, 40])
def test_windows_of_a_whole_stride_are_those_of_lm_evaluation_harness(tokens: int, window: int) -> None:
    """What `get_rolling_token_windows` gives for a prefix token and a context of one, by its documentation.

    Each window predicts the next `window` tokens or the rest, with as many before the last as fit.
    """
    ids = list(range(tokens))
    sequence = [-1, *ids]
    found = [
        (sequence[begin : end - 1], sequence[start:end]) for begin, start, end in windows(tokens + 1, 1, window, window)
    ]
    assert [one for _, predicted in found for one in predicted] == ids
    for context, predicted in found[:-1]:
        assert len(context) == len(predicted) == window
    context, predicted = found[-1]
    assert len(context) == min(window, tokens)
    assert context[-len(predicted) + 1 :] == predicted[:-1] or len(predicted) == 1


def test_the_windows_are_lm_evals_own(model: Model) -> None:
    lm_eval = pytest.importorskip("lm_eval.utils", reason="lm_eval is not installed")
    ids = list(range(1000, 1123))
    theirs = [*map(lm_eval.make_disjoint_window, lm_eval.get_rolling_token_windows(ids, 7, 40, 1))]
    sequence = [7, *ids]
    ours = [(sequence[begin:start], sequence[start:end]) for begin, start, end in windows(len(sequence), 1, 40, 40)]
    assert ours == [(list(context), list(predicted)) for context, predicted in theirs]


def test_a_token_put_in_front_gives_the_first_one_a_score(model: Model, checkpoint: torch.nn.Module) -> None:
    ids = model.tokenizer.encode(TEXT)[:70]
    found = model.score([3], ids, window=32)
    assert (len(found.tokens), found.positions, found.windows) == (70, 70, 3)
    assert logprobs(found)[0] == pytest.approx(expected(checkpoint, [3, ids[0]])[0], abs=BOUND)


def test_a_stop_ends_it_early(model: Model) -> None:
    stop = Stop()
    stop.cancel()
    found = model.score(TEXT, stop=stop)
    assert found.positions == 0
    assert math.isnan(found.perplexity)


def test_the_quantized_graph_is_near_and_a_shared_prompt_is_run_once(nano_artifact: Path, model: Model) -> None:
    with Model.load(nano_artifact) as other:
        assert other.score(TEXT).nats_per_token == pytest.approx(model.score(TEXT).nats_per_token, rel=0.1)
    ids, engine = model.tokenizer.encode(TEXT)[:40], model.engine()
    first = [one.logprob for one in engine.scores(ids, first=30)]
    assert engine.ids == ids[:-1]
    changed = [*ids[:35], 5, *ids[36:]]
    again = [one.logprob for one in engine.scores(changed, first=30)]
    np.testing.assert_allclose(first[:5], again[:5], atol=BOUND)
    fresh = [one.logprob for one in model.engine().scores(changed, first=30)]
    np.testing.assert_allclose(again, fresh, atol=BOUND)


@pytest.mark.parametrize(
    ("text", "continuation", "options", "said"),
    [
        ([1], None, {}, "1 tokens to score, expected at least two"),
        ("", None, {}, "0 tokens to score"),
        ("What", "", {}, "at least one"),
        ("", "What", {}, "a text without a prompt is scored alone"),
        ([1, 10**7], None, {}, "outside the vocabulary"),
        ("What is", None, {"window": 0}, "a window of 0 tokens, expected 1 to"),
        ("What is", None, {"window": 10**9}, "the model's context"),
        ("What is", None, {"window": 8, "stride": 9}, "a stride of 9 tokens, expected 1 to 8"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    model: Model, text: Any, continuation: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        model.score(text, continuation, **options)
