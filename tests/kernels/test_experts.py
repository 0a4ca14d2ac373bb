"""QuantizedExperts of every kernel set that this CPU runs, against numpy in float64 and against itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.kernels.conftest import Floats, Matrix
from tests.kernels.test_matrices import rounded

# (hidden, inner, experts, k, bits, group): tiles that are not full, one expert of all, all of them, one group and many.
SHAPES = [(64, 32, 6, 2, 4, 32), (96, 96, 5, 1, 8, 96), (256, 128, 8, 8, 4, 64), (192, 160, 16, 4, 8, 32)]

Mix = Callable[[Floats, Floats], Floats]


class Experts:
    """Made-up experts with gates and ups in turn, and their values in float64."""

    def __init__(self, rng: np.random.Generator, hidden: int, inner: int, experts: int, k: int, bits: int, group: int):
        self.k, self.bits, self.group = k, bits, group
        kind = {"points": False, "bias": False}
        self.into = [Matrix.made_up(rng, 2 * inner, hidden, bits, group, **kind) for _ in range(experts)]
        self.back = [Matrix.made_up(rng, hidden, inner, bits, group, **kind) for _ in range(experts)]

    def expected(self, x: Floats, logits: Floats) -> npt.NDArray[np.float64]:
        """What the operator says, with each product's activations rounded."""
        found = np.zeros(x.shape, np.float64)
        for row, own in enumerate(logits.astype(np.float64)):
            chosen = np.argsort(-own, kind="stable")[: self.k]
            shares = np.exp(own[chosen] - own[chosen].max())
            for expert, share in zip(chosen, shares / shares.sum(), strict=True):
                both = rounded(x[row : row + 1], self.group) @ self.into[expert].values.T
                gate, up = both[:, ::2], both[:, 1::2]
                inner = (gate / (1 + np.exp(-gate)) * up).astype(np.float32)
                found[row] += share * (rounded(inner, self.group) @ self.back[expert].values.T)[0]
        return found

    def model(self, **attributes: int) -> bytes:
        """One node; attributes that are given take the place of its own."""
        constants: dict[str, npt.NDArray[Any]] = {}
        for name, matrices in (("into", self.into), ("back", self.back)):
            constants[name] = np.stack([one.codes.reshape(len(one.codes), -1) for one in matrices])
            constants[f"{name}_scales"] = np.stack([one.scales for one in matrices])
        own: dict[str, Any] = {"k": self.k, "bits": self.bits, "block_size": self.group} | attributes
        node = helper.make_node("QuantizedExperts", ["x", "logits", *constants], ["y"], domain="thinkport", **own)
        graph = helper.make_graph(
            [node],
            "mixture",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "logits")],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("thinkport", 1)]
        made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
        return made


@pytest.fixture(scope="module")
def mix(library: Path) -> Callable[..., Mix]:
    """`mix(model, set, threads)` is a function of rows and their routers' logits."""
    import onnxruntime as ort

    def opened(model: bytes, kernels: str, threads: int = 1) -> Mix:
        settings: Any = ort.SessionOptions()
        settings.intra_op_num_threads, settings.log_severity_level = threads, 4
        settings.add_session_config_entry("thinkport.kernels", kernels)
        settings.add_session_config_entry("thinkport.threads", str(threads))
        settings.register_custom_ops_library(str(library))
        session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        return lambda x, logits: session.run(None, {"x": x, "logits": logits})[0]

    return opened


def drawn(rng: np.random.Generator, rows: int, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Rows, and logits of which a few experts get most."""
    x = rng.standard_normal((rows, shape[0])).astype(np.float32)
    logits = rng.standard_normal((rows, shape[2])) + 2 * rng.standard_normal(shape[2])
    return x, logits.astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_mixture_of_rounded_activations(
    mix: Callable[..., Mix], sets: list[str], shape: tuple[int, int, int, int, int, int]
) -> None:
    rng = np.random.default_rng()
    experts = Experts(rng, *shape)
    x, logits = drawn(rng, 9, shape)
    expected = experts.expected(x, logits)
    for name in sets:
        found = mix(experts.model(), name)(x, logits)
        # A gate that float32 computes otherwise may round to the code beside: one step of a group, in a few places.
        assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max(), name
        assert np.abs(found - expected).mean() <= 1e-3 * np.abs(expected).max(), name


def test_a_row_is_the_same_to_the_bit_whatever_is_beside_it(mix: Callable[..., Mix], sets: list[str]) -> None:
    rng, shape = np.random.default_rng(), (128, 96, 7, 3, 4, 32)
    experts = Experts(rng, *shape)
    x, logits = drawn(rng, 150, shape)
    whole = mix(experts.model(), sets[-1])(x, logits)
    for name in sets:
        for threads in (1, 2):
            run = mix(experts.model(), name, threads)
            for rows in (1, 4, 7, 64, 150):
                parts = [run(x[at : at + rows], logits[at : at + rows]) for at in range(0, 150, rows)]
                assert np.array_equal(np.concatenate(parts), whole), (name, threads, rows)


def test_of_equal_logits_the_lower_expert_is_taken(mix: Callable[..., Mix], sets: list[str]) -> None:
    rng, shape = np.random.default_rng(), (64, 32, 6, 2, 8, 32)
    experts = Experts(rng, *shape)
    x, logits = drawn(rng, 5, shape)
    tied = np.zeros_like(logits)
    first = np.tile(np.array([1, 1, 0, 0, 0, 0], np.float32), (5, 1))
    run = mix(experts.model(), sets[0])
    assert np.array_equal(run(x, tied), run(x, first))
    assert not np.array_equal(run(x, tied), run(x, logits))


def test_what_is_not_a_number_is_seen_in_its_row_alone(mix: Callable[..., Mix], sets: list[str]) -> None:
    rng, shape = np.random.default_rng(), (64, 32, 6, 2, 4, 32)
    run = mix(Experts(rng, *shape).model(), sets[0])
    x, logits = drawn(rng, 5, shape)
    good = run(x, logits)
    x[1, 3], logits[3] = np.nan, np.nan
    found = run(x, logits)
    assert np.isnan(found[[1, 3]]).all()
    assert np.array_equal(found[[0, 2, 4]], good[[0, 2, 4]])
    assert run(x[:0], logits[:0]).shape == (0, 64)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"k": 7}, "k is 1 to the number of experts"),
        ({"bits": 3}, "bits is 4 or 8"),
        ({"block_size": 48}, "block_size"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused(
    mix: Callable[..., Mix], sets: list[str], attributes: dict[str, int], told: str
) -> None:
    experts = Experts(np.random.default_rng(), 64, 32, 6, 2, 4, 32)
    with pytest.raises(Exception, match=f"QuantizedExperts: .*{told}"):
        mix(experts.model(**attributes), sets[0])
