"""QuantizedMatMul of every kernel set that this CPU runs, against numpy in float64 and against itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from tests.kernels.conftest import Floats, Matrix, Open, one_product

# (rows, columns, bits, group): tiles that are not full, one group and many, widths of published models and odd ones.
SHAPES = [
    (3, 32, 4, 32),
    (64, 64, 8, 64),
    (37, 576, 4, 64),
    (513, 1536, 8, 64),
    (100, 1024, 4, 128),
    (24, 96, 4, 32),
    (20, 1024, 4, 256),
    (9, 192, 8, 96),
    (5, 1024, 8, 1024),
]


def rounded(values: Floats, group: int) -> npt.NDArray[np.float64]:
    """Activations as the operator rounds them: int8, symmetric, each group of columns by its largest magnitude."""
    groups = values.reshape(*values.shape[:-1], -1, group)
    top = np.abs(groups).max(axis=-1, keepdims=True)
    steps = np.where(top > 0, np.float32(127) / np.where(top > 0, top, 1), 0).astype(np.float32)
    return (np.rint(groups * steps) * (top / np.float32(127)).astype(np.float64)).reshape(values.shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("points", [False, True], ids=["symmetric", "points"])
def test_it_is_the_product_of_rounded_activations(
    product: Open, sets: list[str], shape: tuple[int, int, int, int], points: bool
) -> None:
    rng = np.random.default_rng()
    matrix = Matrix.made_up(rng, *shape, points=points, bias=points)
    values = (rng.standard_normal((5, shape[1])) * rng.choice([1e-3, 1, 1e3], (5, 1))).astype(np.float32)
    exact = rounded(values, matrix.group)
    expected = exact @ matrix.values.T + (0 if matrix.bias is None else matrix.bias)
    # float32 sums over groups: half an ulp of the terms' magnitudes each.
    bound = 2**-23 * (shape[1] / shape[3] + 4) * (np.abs(exact) @ np.abs(matrix.values.T) + 4)
    for name in sets:
        found = product(matrix, name)(values)
        assert found.dtype == np.float32
        assert (np.abs(found - expected) <= bound).all(), name


@pytest.mark.parametrize("bits", [4, 8])
def test_a_row_is_the_same_to_the_bit_whatever_is_beside_it(product: Open, sets: list[str], bits: int) -> None:
    rng = np.random.default_rng()
    matrix = Matrix.made_up(rng, 203, 576, bits, 64, points=bits == 8, bias=True)
    values = rng.standard_normal((67, 576)).astype(np.float32)
    whole = product(matrix, sets[0])(values)
    for name in sets:
        for threads in (1, 2):
            run = product(matrix, name, threads)
            for rows in (1, 2, 4, 7, 8, 67):
                parts = [run(values[start : start + rows]) for start in range(0, 67, rows)]
                assert np.array_equal(np.concatenate(parts), whole), (name, threads, rows)


def test_leading_dimensions_stay(product: Open) -> None:
    rng = np.random.default_rng()
    matrix = Matrix.made_up(rng, 40, 64, 4, 32, points=False, bias=False)
    run, values = product(matrix), rng.standard_normal((2, 3, 64)).astype(np.float32)
    assert np.array_equal(run(values), run(values.reshape(6, 64)).reshape(2, 3, 40))
    assert run(np.zeros((1, 0, 64), np.float32)).shape == (1, 0, 40)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_seen_in_its_row_alone(product: Open, sets: list[str], bad: float) -> None:
    rng = np.random.default_rng()
    matrix = Matrix.made_up(rng, 40, 256, 4, 64, points=True, bias=False)
    values = rng.standard_normal((3, 256)).astype(np.float32)
    for name in sets:
        run = product(matrix, name)
        good = run(values)
        spoilt = values.copy()
        spoilt[1, 200] = bad
        found = run(spoilt)
        assert np.isnan(found[1]).all()
        assert np.array_equal(found[[0, 2]], good[[0, 2]])


def test_zeros_denormals_and_one_loud_value(product: Open, sets: list[str]) -> None:
    rng = np.random.default_rng()
    matrix = Matrix.made_up(rng, 40, 128, 4, 32, points=True, bias=False)
    values = np.zeros((3, 128), np.float32)
    values[1] = 1e-40  # denormal: 127 / 1e-40 is infinite
    values[2] = rng.standard_normal(128)
    values[2, 7] = 3e38
    expected = rounded(values[2:], 32) @ matrix.values.T
    for name in sets:
        found = product(matrix, name)(values)
        assert not found[:2].any(), name
        assert np.abs(found[2:] - expected).max() < 1e-5 * np.abs(expected).max(), name


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"bits": 2}, "bits is 4 or 8"),
        ({"K": 0}, "K and N are 1 to 2\\*\\*28"),
        ({"N": 0}, "K and N are 1 to 2\\*\\*28"),
        ({"N": -40}, "K and N are 1 to 2\\*\\*28"),
        ({"N": 2**62}, "K and N are 1 to 2\\*\\*28"),
        ({"block_size": 0}, "block_size is a multiple of 32"),
        ({"block_size": -64}, "block_size is a multiple of 32"),
        ({"block_size": 2**16, "K": 2**16}, "block_size is a multiple of 32 up to 2\\*\\*15"),
        ({"block_size": 16}, "block_size is a multiple of 32"),
        ({"N": 41}, "B has N rows"),
        ({"K": 96}, "block_size is a multiple of 32 .* that divides K"),
    ],
)
def test_a_node_that_it_can_not_run_is_refused(
    library: object, product: Open, attributes: dict[str, int], says: str
) -> None:
    import onnxruntime as ort

    matrix = Matrix.made_up(np.random.default_rng(), 40, 128, 4, 64, points=False, bias=False)
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.register_custom_ops_library(str(library))
    with pytest.raises(Exception, match=says):
        ort.InferenceSession(one_product(matrix, **attributes), settings, providers=["CPUExecutionProvider"])


def test_activations_of_another_width_are_refused(product: Open) -> None:
    matrix = Matrix.made_up(np.random.default_rng(), 40, 128, 4, 64, points=False, bias=False)
    with pytest.raises(Exception, match="A has K columns"):
        product(matrix)(np.zeros((1, 64), np.float32))


def test_an_unknown_kernel_set_is_refused(product: Open) -> None:
    matrix = Matrix.made_up(np.random.default_rng(), 8, 32, 4, 32, points=False, bias=False)
    with pytest.raises(Exception, match="no kernel set nonsense runs on this CPU"):
        product(matrix, "nonsense")
