"""Which graphs an artifact gets."""

from pathlib import Path
from typing import Any

import pytest

from thinkport.deploy.targets import target
from thinkport.export.plans import plan_graphs
from thinkport.export.settings import ExportSettings
from thinkport.runtime.errors import InputError


def planned(**options: Any) -> dict[str, str]:
    """The cache of each planned graph by its file."""
    plans = plan_graphs(ExportSettings(checkpoint="x", output=Path("y"), **options))
    return {plan.file: plan.kv.dtype for plan in plans}


def test_an_older_onnx_runtime_gets_a_graph_whose_cache_it_takes() -> None:
    plans = plan_graphs(ExportSettings(checkpoint="x", output=Path("y"), targets=("cpu",)))
    best, fallback = plans
    assert (best.file, best.kv.dtype) == ("cpu.onnx", "int8")
    assert (fallback.file, fallback.kv.dtype) == ("cpu-float32-kv.onnx", "float32")
    assert fallback.kv.onnxruntime_floor < best.kv.onnxruntime_floor


@pytest.mark.parametrize("options", [{"kv": "fp32"}, {"precision": "fp32"}, {"fuse": False}], ids=str)
def test_a_cache_that_every_version_takes_needs_no_second_graph(options: dict[str, Any]) -> None:
    assert planned(targets=("cpu",), **options) == {"cpu.onnx": "float32"}


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown target 'gpu'"):
        planned(targets=("cpu", "gpu"))


def test_a_target_named_twice_gets_its_graphs_once() -> None:
    assert planned(targets=("cpu", "cpu")) == planned(targets=("cpu",))
    assert target("cpu").kv_dtypes[0] == planned(targets=("cpu",))["cpu.onnx"]
