"""CachedAttention of every kernel set that this CPU runs, against numpy in float64 and against itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.kernels.conftest import Floats

Doubles = npt.NDArray[np.float64]
EPSILON, POSITIONS = 1e-6, 900
# (heads, KV heads, width, norms): groups of heads of all sizes, widths of published models and an odd one.
SHAPES = [(4, 2, 64, True), (8, 1, 32, False), (3, 3, 128, True), (5, 1, 96, True), (16, 1, 64, True)]


@dataclass(frozen=True)
class Case:
    """One attention: its numbers, tables of rotary, weights of norms, and a sequence's packed projections."""

    heads: int
    kv_heads: int
    width: int
    cosines: Floats
    sines: Floats
    norms: tuple[Floats, Floats] | None
    packed: Floats

    @classmethod
    def made_up(cls, shape: tuple[int, int, int, bool], tokens: int) -> Case:
        rng, (heads, kv_heads, width, normed) = np.random.default_rng(), shape
        angles = rng.uniform(0, 6, (POSITIONS, width // 2))
        norms = rng.uniform(0.5, 2, (2, width)).astype(np.float32)
        packed = (3 * rng.standard_normal((tokens, (heads + 2 * kv_heads) * width))).astype(np.float32)
        case = cls(
            heads=heads,
            kv_heads=kv_heads,
            width=width,
            cosines=np.cos(angles).astype(np.float32),
            sines=np.sin(angles).astype(np.float32),
            norms=(norms[0], norms[1]) if normed else None,
            packed=packed,
        )
        # Half-way between two codes float32 and float64 may round apart, and a code of a query moves all its weights.
        vectors = packed.reshape(tokens, -1, width)
        while (halfway := case.halfway()).any():
            vectors[halfway] = 3 * rng.standard_normal((halfway.sum(), width))
        return case

    @property
    def scale(self) -> float:
        return float(self.width**-0.5)

    def expected(self) -> Doubles:
        """What it gives over all tokens: queries, keys and values rounded to int8, a scale a token and head."""
        return self.expected_and_steps()[0]

    def expected_and_steps(self) -> tuple[Doubles, Doubles]:
        """The same, and by token and head the largest step of a value's codes times the value's weight."""
        tokens = len(self.packed)
        before = self._before_rounding()
        query, key, value = (np.rint(x / _steps(x)) * _steps(x) for x in before)
        steps = _steps(before[2])[..., 0]
        out, largest = np.empty_like(query), np.empty(query.shape[:2])
        for head in range(self.heads):
            of = head * self.kv_heads // self.heads
            scores = query[:, head] @ key[:, of].T * self.scale
            scores[np.triu_indices(tokens, 1)] = -np.inf
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            out[:, head], largest[:, head] = weights @ value[:, of], (weights * steps[:, of]).max(axis=-1)
        return out.reshape(tokens, -1), largest

    def halfway(self) -> npt.NDArray[np.bool_]:
        """By token and head of the packed projections: does a number of it lie half-way between two codes?"""
        x = np.concatenate(self._before_rounding(), axis=1)
        codes = x / _steps(x)
        found: npt.NDArray[np.bool_] = np.any(np.abs(codes - np.floor(codes) - 0.5) < 1e-4, axis=-1)
        return found

    def _before_rounding(self) -> tuple[Doubles, Doubles, Doubles]:
        """Queries, keys and values (tokens, heads, width) as they are rounded to int8."""
        tokens = len(self.packed)
        x = self.packed.astype(np.float64).reshape(tokens, -1, self.width)
        query, key, value = np.split(x, [self.heads, self.heads + self.kv_heads], axis=1)
        if self.norms is not None:
            query, key = (_normed(one, weight) for one, weight in zip((query, key), self.norms, strict=True))
        tables = self.cosines[:tokens, None].astype(np.float64), self.sines[:tokens, None].astype(np.float64)
        return _mixed(_turned(query, *tables)), _mixed(_turned(key, *tables)), value


def _normed(x: Doubles, weight: Floats) -> Doubles:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON) * weight


def _turned(x: Doubles, cosines: Doubles, sines: Doubles) -> Doubles:
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cosines - b * sines, b * cosines + a * sines], axis=-1)


def _mixed(x: Doubles) -> Doubles:
    """Times a Hadamard matrix of the largest power of two in the width, stretch by stretch: dots are as before."""
    stretch = x.shape[-1] & -x.shape[-1]
    signs = np.ones((1, 1))
    while len(signs) < stretch:
        signs = np.block([[signs, signs], [signs, -signs]])
    return (x.reshape(*x.shape[:-1], -1, stretch) @ (signs / np.sqrt(stretch))).reshape(x.shape)


def _steps(x: Doubles) -> Doubles:
    """The distance of two codes of int8, a vector."""
    steps: Doubles = np.abs(x).max(axis=-1, keepdims=True) / 127
    return steps


Run = Callable[[Floats, Any, Any, Sequence[int], int], list[Any]]
Open = Callable[..., Run]


@pytest.fixture(scope="session")
def attention(library: Path) -> Open:
    """`attention(case, set, threads)` runs one node: (packed, keys, values, lengths, total) to its three outputs."""
    import onnxruntime as ort

    def opened(case: Case, kernels: str = "auto", threads: int = 1) -> Run:
        settings: Any = ort.SessionOptions()
        settings.intra_op_num_threads, settings.log_severity_level = threads, 4
        settings.add_session_config_entry("thinkport.kernels", kernels)
        settings.add_session_config_entry("thinkport.threads", str(threads))
        settings.register_custom_ops_library(str(library))
        session = ort.InferenceSession(_model(case), settings, providers=["CPUExecutionProvider"])

        def run(packed: Floats, keys: Any, values: Any, lengths: Sequence[int], total: int) -> list[Any]:
            counts = {"lengths": np.array(lengths, np.int32), "total": np.array(total, np.int32)}
            found: list[Any] = session.run(None, {"packed": packed, "keys": keys, "values": values, **counts})
            return found

        return run

    return opened


def _model(case: Case) -> bytes:
    constants = {"cosines": case.cosines, "sines": case.sines}
    if case.norms is not None:
        constants |= {
            name: weight for name, weight in zip(("q_norm", "k_norm"), case.norms, strict=True) if weight is not None
        }
    attributes: dict[str, Any] = {
        "num_heads": case.heads,
        "kv_num_heads": case.kv_heads,
        "scale": case.scale,
        "epsilon": EPSILON,
    }
    given = {"packed": TensorProto.FLOAT, "keys": TensorProto.INT8, "values": TensorProto.INT8}
    given |= {"lengths": TensorProto.INT32, "total": TensorProto.INT32}
    made = {"out": TensorProto.FLOAT, "new_keys": TensorProto.INT8, "new_values": TensorProto.INT8}
    node = helper.make_node("CachedAttention", [*given, *constants], [*made], domain="thinkport", **attributes)
    graph = helper.make_graph(
        [node],
        "attention",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in given.items()],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in made.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("thinkport", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return model.SerializeToString()


def empty(case: Case, batch: int = 1, capacity: int = 768) -> tuple[Any, Any]:
    """Caches of poison."""
    shape = (batch, case.kv_heads, capacity, case.width + 4)
    return np.full(shape, 77, np.int8), np.full(shape, -77, np.int8)


def stepped(run: Run, case: Case, steps: Sequence[int]) -> Floats:
    keys, values = empty(case)
    outs, at = [], 0
    for count in steps:
        packed = case.packed[None, at : at + count]
        out, keys, values = run(packed, keys, values, [at + count - 1], at + count)
        outs.append(out[0])
        at += count
    return np.concatenate(outs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_attention_over_rounded_heads_in_any_pieces(
    attention: Open, sets: list[str], shape: tuple[int, int, int, bool]
) -> None:
    case = Case.made_up(shape, 600)
    whole = stepped(attention(case, sets[0]), case, [600])
    assert np.abs(whole - case.expected()).max() < 4e-4 * np.abs(whole).max()
    for name in sets:
        for threads in (1, 2):
            run = attention(case, name, threads)
            for steps in ([600], [255, 1, 1, 7, 336], [1] * 9 + [591]) if name != "scalar" else ([600],):
                assert np.array_equal(stepped(run, case, steps), whole), (name, threads, steps[:3])


@pytest.mark.parametrize("peak", [0.1, 1, 10])
def test_weights_are_rounded_less_than_the_values_were(attention: Open, sets: list[str], peak: float) -> None:
    """Over even weights, over those of a trained model, and where one token takes nearly all of a head."""
    case, tokens = Case.made_up((4, 1, 64, False), 200), 200
    heads = case.packed.reshape(tokens, 6, 64)
    heads[:, :4] *= peak
    heads[:, 5] *= np.exp(2 * np.random.default_rng().standard_normal((tokens, 1)))  # values of very different scales
    expected, steps = case.expected_and_steps()
    for name in sets:
        for pieces in ([tokens], [1] * 3 + [2, 3] + [tokens - 8]):
            off = (
                np.abs(stepped(attention(case, name), case, pieces) - expected).reshape(tokens, 4, 64)
                / steps[..., None]
            )
            assert np.quantile(off, 0.999) < 0.5, "half a step, which a value alone may be off"
            assert off.mean() < 0.02, (name, pieces[:2])


def test_rows_of_a_batch_have_their_own_lengths(attention: Open, sets: list[str]) -> None:
    cases = [Case.made_up(SHAPES[0], 300) for _ in range(3)]
    first = cases[0]
    cases = [Case(**{**vars(first), "packed": case.packed}) for case in cases]
    lengths, run = [300, 17, 256], attention(first, sets[0], 2)
    alone = []
    for case, length in zip(cases, lengths, strict=True):
        alone.append(stepped(run, Case(**{**vars(case), "packed": case.packed[:length]}), [length - 1, 1]))
    before = np.stack([case.packed[: max(lengths) - 1] for case in cases])  # padded on the right by what comes later
    keys, values = empty(first, batch=3)
    out, keys, values = run(before, keys, values, [length - 2 for length in lengths], before.shape[1])
    last = np.stack([case.packed[length - 1 : length] for case, length in zip(cases, lengths, strict=True)])
    end, _, _ = run(last, keys, values, [length - 1 for length in lengths], max(lengths))
    for row, length in enumerate(lengths):
        assert np.array_equal(np.concatenate([out[row, : length - 1], end[row]]), alone[row])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"capacity": 8}, "the step ends behind its cache"),
        ({"tokens": 3}, "a row has fewer tokens than the step"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(attention: Open, change: dict[str, int], says: str) -> None:
    case = Case.made_up(SHAPES[0], 10)
    keys, values = empty(case, capacity=change.get("capacity", 64))
    tokens = change.get("tokens", 10)
    with pytest.raises(Exception, match=says):
        attention(case)(case.packed[None], keys, values, [tokens - 1], 10 if tokens == 10 else 11)


CACHE, HEADS = "each past has qkv's batch", "heads are multiples of 32 wide"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keys": (2, 2, 64, 68)}, CACHE),
        ({"keys": (1, 1, 64, 68)}, CACHE),
        ({"keys": (1, 2, 64, 4)}, HEADS),
        ({"keys": (1, 2, 64, 0)}, HEADS),
        ({"keys": (1, 2, 0, 68)}, "the step ends behind its cache"),
        ({"keys": (2, 64, 68)}, "each past 4"),
        ({"lengths": ()}, "lengths and total are of the batch"),
        ({"lengths": (9, 9)}, "lengths and total are of the batch"),
        ({"lengths": (-1,), "total": 11}, "a row has fewer tokens than the step"),
        ({"lengths": (-5,), "total": 11}, "lengths are at least -1"),
        ({"lengths": (2**31 - 1,), "total": 11}, "the step ends behind its cache"),
        ({"cosines": (900, 16)}, "cos and sin have a row a position"),
        ({"sines": (8, 32)}, "cos and sin have a row a position"),
        ({"cosines": (900,), "sines": (900,)}, "cos and sin have a row a position"),
        ({"q_norm": (32,)}, "norms are of a head's width"),
        ({"k_norm": None}, "norms are of a head's width"),
    ],
    ids=str,
)
def test_inputs_that_do_not_belong_together_are_refused(attention: Open, change: dict[str, Any], says: str) -> None:
    case = Case.made_up(SHAPES[0], 10)
    tables = {name: np.ones(change.get(name, getattr(case, name).shape), np.float32) for name in ("cosines", "sines")}
    norms = [change.get(name, (64,)) for name in ("q_norm", "k_norm")]
    weights: Any = tuple(None if shape is None else np.ones(shape, np.float32) for shape in norms)
    run = attention(Case(**{**vars(case), **tables, "norms": weights}))
    keys = np.zeros(change.get("keys", (1, 2, 64, 68)), np.int8)
    with pytest.raises(Exception, match=says):
        run(case.packed[None], keys, keys.copy(), change.get("lengths", (9,)), change.get("total", 10))


@pytest.mark.parametrize("shape", [(4, 3, 64, True), (17, 1, 64, True), (0, 0, 64, True), (-4, -2, 64, True)], ids=str)
def test_heads_that_do_not_share_kv_heads_are_refused(attention: Open, shape: tuple[int, int, int, bool]) -> None:
    case = Case.made_up(SHAPES[0], 1)
    with pytest.raises(Exception, match="each KV head has 1 to 16 heads"):
        attention(Case(**{**vars(case), "heads": shape[0], "kv_heads": shape[1]}))


def test_no_tokens_and_no_rows_give_nothing(attention: Open) -> None:
    case = Case.made_up(SHAPES[0], 1)
    for batch, tokens in ((1, 0), (0, 1)):
        keys, values = empty(case, batch=batch, capacity=0)
        out, after, _ = attention(case)(np.zeros((batch, tokens, 512), np.float32), keys, values, [-1] * batch, 0)
        assert (out.shape, after.shape) == ((batch, tokens, 256), keys.shape)


def test_what_is_not_finite_stays_in_its_head_and_later(attention: Open, sets: list[str]) -> None:
    case = Case.made_up(SHAPES[0], 40)
    good = stepped(attention(case, sets[0]), case, [40])
    packed = case.packed.copy()
    packed[20, 0] = np.nan  # a query of the first head
    for name in sets:
        found = stepped(attention(Case(**{**vars(case), "packed": packed}), name), case_of(case, packed), [40])
        assert np.isnan(found[20, : case.width]).all()
        found[20, : case.width] = good[20, : case.width]
        assert np.array_equal(found, good)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 20, 39])
def test_a_value_that_is_not_finite_is_in_every_later_token_of_its_head(
    attention: Open, sets: list[str], bad: float, at: int
) -> None:
    case = Case.made_up(SHAPES[0], 40)
    good = stepped(attention(case, sets[0]), case, [40])
    packed = case.packed.copy()
    packed[at, -1] = bad  # the last KV head's value
    first = case.width * case.heads // 2  # of the heads that share it
    for name in sets:
        for steps in ([40], [13, *[1] * 27]):
            found = stepped(attention(case, name), case_of(case, packed), steps)
            assert np.isnan(found[at:, first:]).all(), (name, steps[:2])
            found[at:, first:] = good[at:, first:]
            assert np.array_equal(found, good)


def case_of(case: Case, packed: Floats) -> Case:
    return Case(**{**vars(case), "packed": packed})
