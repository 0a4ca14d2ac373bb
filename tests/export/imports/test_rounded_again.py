"""Weights that MatMulNBits can't hold as they are: dequantized as their library does it, then rounded by the recipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_numpy
from tests.export.imports.libraries import module
from tests.export.imports.packed import PackedCheckpoint, Parts, packed_checkpoint
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.checkpoint.quantized import check_method, with_decoded
from thinkport.export.checkpoint.safetensors_file import read_header
from thinkport.export.errors import CheckpointError, RecipeError, UnsupportedModelError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


def in_blocks(weight: torch.Tensor) -> tuple[Parts, torch.Tensor]:
    """float8_e4m3fn with a scale a block of 128x128, made by torch and read by transformers."""
    rows, columns = (-(-size // 128) for size in weight.shape)
    scales = (torch.rand(rows, columns) * 0.01 + 0.001).bfloat16()
    spread = scales.float().repeat_interleave(128, 0).repeat_interleave(128, 1)[: weight.shape[0], : weight.shape[1]]
    small = (weight / spread).clamp(-448, 448).to(torch.float8_e4m3fn)
    meant = Fp8Dequantize(None)._dequantize_one(small, scales, torch.float32)
    return {"weight": small, "weight_scale_inv": scales}, meant


def by_mlx(weight: torch.Tensor) -> tuple[Parts, torch.Tensor]:
    """MLX's own packing and reading, in groups of 32."""
    mx = module("mlx.core")
    parts = mx.quantize(mx.array(weight.numpy()), group_size=32, bits=4)
    meant = np.array(mx.dequantize(*parts, group_size=32, bits=4))
    found = dict(zip(("weight", "scales", "biases"), (np.array(part) for part in parts), strict=True))
    return {name: torch.from_numpy(array) for name, array in found.items()}, torch.from_numpy(meant)


@pytest.fixture(scope="module")
def fp8(tmp_path_factory: pytest.TempPathFactory) -> PackedCheckpoint:
    folder = tmp_path_factory.mktemp("fp8")
    return packed_checkpoint(folder, in_blocks, FP8, hidden_size=256, intermediate_size=384)


def test_fp8_in_blocks_is_read_as_transformers_reads_it(fp8: PackedCheckpoint) -> None:
    checkpoint = open_checkpoint(fp8.folder)
    for name, weight in fp8.weights.items():
        assert (checkpoint.read(name) == weight.numpy()).all()
        assert (checkpoint.rows(name, 60, 64) == weight[60:64].numpy()).all()


def test_fp8_is_rounded_by_the_recipe_and_that_is_said(fp8: PackedCheckpoint, exported: Callable[..., Path]) -> None:
    artifact = exported(fp8.folder, recipe=None, certificate=True, targets=("cpu",))
    manifest = read_manifest(artifact)
    assert manifest.recipe.name == "accurate"
    assert manifest.recipe.notes[1].startswith("attention, mlp: stored as FP8 in blocks of 128x128, dequantized and")
    assert "quantization_config" not in json.loads((artifact / "config.json").read_text(encoding="utf-8"))
    assert manifest.certificate is not None
    assert manifest.certificate.figures[0].kl_mean < 0.1


def test_fp8_has_no_integers_to_keep(fp8: PackedCheckpoint, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'kept' keeps a checkpoint's integers, and packed has none to keep"):
        export(ExportSettings(checkpoint=str(fp8.folder), output=tmp_path / "out", recipe="kept"))


def test_each_byte_of_fp8_is_what_its_standard_says(tmp_path: Path) -> None:
    """1 sign, 4 exponent bits with bias 7, 3 mantissa bits (OCP 8-bit Floating Point Specification, E4M3)."""
    file = tmp_path / "model.safetensors"
    bytes_ = [0x38, 0xC0, 0x7E, 0x01, 0x08, 0x3C]  # 1, -2, 448, 2^-9, 2^-6, 1.5
    weight = torch.tensor([bytes_], dtype=torch.uint8).view(torch.float8_e4m3fn)
    from safetensors.torch import save_file

    save_file({"m.weight": weight, "m.weight_scale": torch.tensor([2.0])}, file)
    found = with_decoded(read_header(file), {"quantization_config": {"quant_method": "fp8"}})["m.weight"]
    np.testing.assert_array_equal(found.rows(0, 1), [[2, -4, 896, 2**-8, 2**-5, 3]])


def test_fp8_without_its_scale_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"m.weight": torch.zeros(2, 2).to(torch.float8_e4m3fn)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"m\.weight is FP8 and has no scale beside it"):
        with_decoded(read_header(tmp_path / "model.safetensors"), {"quantization_config": {"quant_method": "fp8"}})


def test_mlx_is_read_as_mlx_reads_it_and_rounded_again(tmp_path: Path) -> None:
    packed = packed_checkpoint(tmp_path, by_mlx, {"group_size": 32, "bits": 4})
    config = json.loads((packed.folder / "config.json").read_text(encoding="utf-8"))
    config["quantization"] = config.pop("quantization_config")
    (packed.folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    checkpoint = open_checkpoint(packed.folder)
    for name, weight in packed.weights.items():
        np.testing.assert_allclose(checkpoint.read(name), weight.numpy(), rtol=1e-6, atol=1e-7)
    settings = ExportSettings(
        checkpoint=str(packed.folder), output=tmp_path / "out", targets=("cpu",), certificate=False
    )
    note = export(settings).manifest.recipe.notes[1]
    assert note.startswith(
        "attention, mlp: stored as MLX of 4 bits in groups of 32, dequantized and rounded by accurate"
    )
    assert note.endswith("MLX's groups have an offset that is no integer")


def test_mlx_packs_the_first_code_into_the_lowest_bits(tmp_path: Path) -> None:
    parts: dict[str, np.ndarray] = {
        "m.weight": np.array([[0x76543210]], np.uint32),
        "m.scales": np.array([[2]], np.float16),
        "m.biases": np.array([[-3]], np.float16),
    }
    save_numpy(parts, tmp_path / "model.safetensors")
    config = {"quantization": {"group_size": 8, "bits": 4}}
    found = with_decoded(read_header(tmp_path / "model.safetensors"), config)["m.weight"]
    np.testing.assert_array_equal(found.rows(0, 1), [[-3, -1, 1, 3, 5, 7, 9, 11]])


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        (
            {"quant_method": "bitsandbytes", "load_in_4bit": True},
            r"bitsandbytes, .*model\.dequantize\(\) and save_pret",
        ),
        ({"quant_method": "mxfp4"}, r"mxfp4, .*Mxfp4Config\(dequantize=True\)"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "modelopt, .*NVFP4 .* export the bf16 checkpoint"),
    ],
)
def test_numbers_that_are_no_integers_are_refused_by_name_with_what_to_do(
    quantization: dict[str, object], message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        check_method({"quantization_config": quantization})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "nvfp4-pack-quantized"}, "in the format 'nvfp4-pack-quantized'"),
        ({"sparsity_config": {"format": "sparse-24-bitmask"}}, "with sparse weights"),
        ({"transform_config": {"config_groups": {"R1": {}}}}, "with rotated weights"),
    ],
)
def test_compressed_tensors_that_can_not_be_read_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        with_decoded({}, {"quantization_config": {"quant_method": "compressed-tensors", **changes}})
