"""Which graphs an artifact gets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.export.trace.checkpoints import MIXTURE, NARROW

from thinkport.deploy.targets import target
from thinkport.export.errors import RecipeError
from thinkport.export.families import family_of
from thinkport.export.plans import fitted, fitted_plans, plan_graphs, suited
from thinkport.export.reference.decoder import Loudness
from thinkport.export.settings import ExportSettings
from thinkport.runtime.errors import InputError


def planned(**options: Any) -> dict[str, str]:
    """The cache of each planned graph by its file, with weights of 4 bits if nothing else is said."""
    settings: dict[str, Any] = {"precision": "int4"} | options
    plans = plan_graphs(ExportSettings(checkpoint="x", output=Path("y"), **settings))
    return {plan.file: plan.kv.dtype for plan in plans}


def test_an_older_onnx_runtime_gets_a_graph_whose_cache_it_takes() -> None:
    plans = plan_graphs(ExportSettings(checkpoint="x", output=Path("y"), targets=("cpu",), precision="int4"))
    best, native, fallback = plans
    assert (best.file, best.kv.dtype) == ("cpu.onnx", "int8")
    assert (native.file, native.native_of, native.kv) == ("cpu-native.onnx", best.file, best.kv)
    assert (fallback.file, fallback.kv.dtype) == ("cpu-float32-kv.onnx", "float32")
    assert fallback.kv.onnxruntime_floor < best.kv.onnxruntime_floor


@pytest.mark.parametrize("options", [{"precision": "fp32"}, {"fuse": False}], ids=str)
def test_a_cache_that_every_version_takes_needs_no_second_graph(options: dict[str, Any]) -> None:
    assert planned(targets=("cpu",), **options) == {"cpu.onnx": "float32"}


def test_a_cache_that_is_not_rounded_is_the_native_graphs_too() -> None:
    assert planned(targets=("cpu",), kv="fp32") == {"cpu.onnx": "float32", "cpu-native.onnx": "float32"}


def test_a_mixture_of_experts_has_graphs_for_those_targets_that_can_run_it() -> None:
    mixture = family_of(MIXTURE).shape(NARROW | MIXTURE)
    settings = suited(ExportSettings(checkpoint="x", output=Path("y"), precision="int4"), mixture)
    plan, native = plan_graphs(settings, experts=True)
    assert (native.file, native.native_of, native.kv) == ("cpu-native.onnx", plan.file, plan.kv)
    assert (plan.file, plan.kv.dtype, plan.onnxruntime_floor) == ("cpu.onnx", "int8", "1.32")
    assert suited(settings, replace(mixture, mixture=None)) is settings
    assert settings.quantization is not None
    assert settings.quantization.of("experts").group_size == 64
    yardstick = suited(ExportSettings(checkpoint="x", output=Path("y"), precision="fp32"), mixture)
    assert [plan.onnxruntime_floor for plan in plan_graphs(yardstick, experts=True)] == ["1.32"]


def test_integers_of_a_mixture_of_experts_are_not_kept() -> None:
    mixture = family_of(MIXTURE).shape(NARROW | MIXTURE)
    with pytest.raises(RecipeError, match="'kept' can't be had of a mixture of experts"):
        suited(ExportSettings(checkpoint="x", output=Path("y"), recipe="kept"), mixture)


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown target 'gpu'"):
        planned(targets=("cpu", "gpu"))


def test_a_target_named_twice_gets_its_graphs_once() -> None:
    assert planned(targets=("cpu", "cpu")) == planned(targets=("cpu",))
    assert target("cpu").kv_dtypes[0] == planned(targets=("cpu",))["cpu.onnx"]


def test_by_default_every_target_gets_the_graphs_that_it_needs() -> None:
    assert planned() == {
        "cpu.onnx": "int8",
        "cpu-native.onnx": "int8",
        "cpu-float32-kv.onnx": "float32",
        "dml.onnx": "float16",
        "dml-plain.onnx": "float16",
        "cuda.onnx": "float16",
        "webgpu.onnx": "float16",
        "webgpu-float32.onnx": "float32",
    }


def test_a_cache_goes_to_the_targets_that_take_it_and_others_keep_their_own() -> None:
    assert planned(kv="fp16", targets=("cpu", "dml")) == {
        "cpu.onnx": "int8",
        "cpu-native.onnx": "int8",
        "cpu-float32-kv.onnx": "float32",
        "dml.onnx": "float16",
        "dml-plain.onnx": "float16",
    }
    with pytest.raises(InputError, match="target dml is not given a int8 KV cache"):
        planned(kv="int8", targets=("dml",))


@pytest.mark.parametrize("options", [{"precision": "fp32"}, {"fuse": False}], ids=str)
def test_a_yardstick_is_made_where_float32_is_what_a_target_computes_in(options: dict[str, Any]) -> None:
    assert planned(**options) == {"cpu.onnx": "float32"}
    with pytest.raises(InputError, match="target cuda computes in float16"):
        planned(targets=("cuda",), **options)


@pytest.mark.parametrize(
    ("first", "later", "fits"), [(1e3, 1e3, True), (3e4, 1e3, True), (1e3, 3e4, False), (5e4, 1e3, False)]
)
def test_activations_beyond_a_half_get_a_wider_type_and_a_cache_that_goes_with_it(
    first: float, later: float, *, fits: bool
) -> None:
    plans = plan_graphs(ExportSettings(checkpoint="x", output=Path("y")))
    found = {plan.file: fitted(plan, Loudness(first, later)) for plan in plans}
    forms = {file: (found[file].activations, found[file].kv.dtype) for file in ("cuda.onnx", "dml.onnx")}
    wide = {"cuda.onnx": ("bfloat16", "int8"), "dml.onnx": ("float32", "float32")}
    assert forms == (dict.fromkeys(wide, ("float16", "float16")) if fits else wide)
    assert found["cpu.onnx"] == plans[0]


@pytest.mark.parametrize("loudest", [1e3, 3e4])
def test_a_device_without_float16_has_a_graph_which_stands_alone_where_no_half_holds_the_model(loudest: float) -> None:
    plans = plan_graphs(ExportSettings(checkpoint="x", output=Path("y"), targets=("webgpu",)))
    found = fitted_plans(plans, Loudness(loudest, loudest))
    wide = ("webgpu-float32.onnx", "float32", "float32")
    forms = [(plan.file, plan.activations, plan.kv.dtype) for plan in found]
    assert forms == ([("webgpu.onnx", "float16", "float16"), wide] if loudest == 1e3 else [wide])
