"""The kernels' library, compiled once a run from this tree, and sessions of one of its operators."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from thinkport.runtime.machine.file_lock import FileLock

SOURCE = Path(__file__).resolve().parents[2] / "runtime_py" / "kernels"
sys.path.insert(0, str(SOURCE))
import compile_library as compiling  # noqa: E402

sys.path.remove(str(SOURCE))  # the sources' own thinkport_kernels has no library, and would hide the one installed

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The compiled library; all workers of a run share one."""
    compiler = compiling.own_compiler()
    if compiler is None:
        pytest.skip("no C++ compiler is on this machine: install g++ or clang")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "kernels"
    folder.mkdir(exist_ok=True)
    while (lock := FileLock.try_take(folder / "lock")) is None:
        time.sleep(0.1)
    with lock:
        done = folder / "library"
        if not done.exists():
            done.write_text(str(compiling.compile_library(compiling.this_system(), folder, compiler)))
        return Path(done.read_text())


@pytest.fixture(scope="session")
def sets(library: Path) -> list[str]:
    """The kernel sets that run on this CPU, best first."""
    ask = ctypes.CDLL(str(library)).thinkport_kernel_set
    ask.restype, ask.argtypes = ctypes.c_char_p, [ctypes.c_size_t]
    found: list[str] = []
    while name := ask(len(found)):
        found.append(name.decode())
    return found


@dataclass(frozen=True)
class Matrix:
    """A quantized matrix as MatMulNBits stores it, and its values in float64 (rows, columns)."""

    bits: int
    group: int
    codes: npt.NDArray[np.uint8]
    scales: Floats
    points: npt.NDArray[np.uint8] | None
    bias: Floats | None
    values: npt.NDArray[np.float64]

    @classmethod
    def made_up(
        cls, rng: np.random.Generator, rows: int, columns: int, bits: int, group: int, *, points: bool, bias: bool
    ) -> Matrix:
        """Random codes, scales of both signs, and what is asked for."""
        groups = columns // group
        codes = rng.integers(0, 2**bits, (rows, columns), dtype=np.uint8)
        scales = rng.uniform(-0.02, 0.02, (rows, groups)).astype(np.float32)
        zeros = rng.integers(0, 2**bits, (rows, groups), dtype=np.uint8) if points else None
        middle = np.full((rows, groups), 2 ** (bits - 1)) if zeros is None else zeros
        values = (codes.reshape(rows, groups, group).astype(np.float64) - middle[:, :, None]) * scales[:, :, None]
        return cls(
            bits=bits,
            group=group,
            codes=_packed(codes.reshape(rows, groups, group), bits),
            scales=scales,
            points=None if zeros is None else _packed(np.pad(zeros, [(0, 0), (0, groups % 2 * (bits == 4))]), bits),
            bias=rng.standard_normal(rows).astype(np.float32) if bias else None,
            values=values.reshape(rows, columns),
        )


def _packed(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    return codes if bits == 8 else (codes[..., ::2] | codes[..., 1::2] << 4).astype(np.uint8)


Open = Callable[..., Callable[[Floats], Floats]]


@pytest.fixture(scope="session")
def product(library: Path) -> Open:
    """`product(matrix, set, threads)` is a function of activations (…, columns): one node in ONNX Runtime."""
    import onnxruntime as ort

    def opened(matrix: Matrix, kernels: str = "auto", threads: int = 1) -> Callable[[Floats], Floats]:
        settings: Any = ort.SessionOptions()
        settings.intra_op_num_threads, settings.log_severity_level = threads, 4
        settings.add_session_config_entry("thinkport.kernels", kernels)
        settings.add_session_config_entry("thinkport.threads", str(threads))
        settings.register_custom_ops_library(str(library))
        session = ort.InferenceSession(one_product(matrix), settings, providers=["CPUExecutionProvider"])
        return lambda values: session.run(None, {"A": values})[0]

    return opened


def one_product(matrix: Matrix, **attributes: int) -> bytes:
    """A model of one QuantizedMatMul over a matrix; attributes that are given take the place of its own."""
    rows, columns = matrix.values.shape
    constants: dict[str, npt.NDArray[Any]] = {"B": matrix.codes, "scales": matrix.scales}
    names = ["A", "B", "scales"]
    for at, (name, value) in enumerate((("points", matrix.points), ("order", None), ("bias", matrix.bias)), 3):
        if value is not None:
            names += [*[""] * (at - len(names)), name]
            constants[name] = value
    own = {"K": columns, "N": rows, "bits": matrix.bits, "block_size": matrix.group} | attributes
    node = helper.make_node("QuantizedMatMul", names, ["Y"], domain="thinkport", **own)
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("A", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("thinkport", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return model.SerializeToString()
