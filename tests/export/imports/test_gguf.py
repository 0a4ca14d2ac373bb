"""GGUF files, written by the gguf package in llama.cpp's names and order, against what that package reads of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.imports.level0 import at_level_0
from tests.export.imports.libraries import module
from tests.export.parity.dequantized import Dequantized
from tests.export.parity.driver import Driver, relative
from tests.export.parity.reference import fresh_ids
from tests.export.trace.checkpoints import LLAMA, narrow_checkpoint

from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.errors import CheckpointError, UnsupportedModelError
from thinkport.export.exporter import export
from thinkport.export.settings import ExportSettings
from thinkport.runtime.artifact.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "model.layers.": "blk.",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def renamed(name: str) -> str:
    for ours, theirs in NAMES.items():
        name = name.replace(ours, theirs)
    return name


def reordered(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows as llama.cpp's `convert_hf_to_gguf.py` stores Llama's q and k: both halves of a head alternate."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def restored(weight: np.ndarray, heads: int) -> np.ndarray:
    return weight.reshape(heads, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def heads_of(name: str, *, llama: bool) -> int | None:
    if not llama:
        return None
    return 4 if name.endswith("q_proj.weight") else 2 if name.endswith("k_proj.weight") else None


def gguf_checkpoint(folder: Path, kind: str, *, llama: bool = False, **metadata: Any) -> tuple[Path, Path]:
    """A folder with a GGUF file of a narrow checkpoint, and one of plain weights that gguf reads in that file."""
    gguf = module("gguf")
    plain = narrow_checkpoint(folder / "plain", **(LLAMA if llama else {"hidden_size": 256, "intermediate_size": 512}))
    arch, quantized = ("llama" if llama else "qwen3"), gguf.GGMLQuantizationType[kind]
    file = folder / "file" / "model.gguf"
    file.parent.mkdir()
    writer = gguf.GGUFWriter(file, arch)
    writer.add_block_count(metadata.get("block_count", 2))
    writer.add_rope_freq_base(metadata.get("rope_theta", 10000.0))
    writer.add_token_list(["a", "bc"])  # an array, which is passed over
    weights = load_file(plain / "model.safetensors")
    for name, weight in weights.items():
        heads = heads_of(name, llama=llama)
        array = reordered(weight.numpy(), heads) if heads else weight.numpy()
        if array.ndim == 1:
            writer.add_tensor(renamed(name), array)
            continue
        packed = gguf.quants.quantize(array, quantized)
        writer.add_tensor(renamed(name), packed, raw_dtype=quantized)
        meant = gguf.quants.dequantize(packed, quantized)
        weights[name] = torch.from_numpy(restored(meant, heads) if heads else meant.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(weights, plain / "model.safetensors", metadata={"format": "pt"})
    for other in plain.glob("*.json"):
        shutil.copyfile(other, file.parent / other.name)
    return file, plain


@pytest.mark.parametrize("llama", [False, True], ids=["qwen3", "llama"])
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0"])
def test_a_file_is_read_as_the_gguf_package_reads_it(tmp_path: Path, kind: str, llama: bool) -> None:
    file, plain = gguf_checkpoint(tmp_path, kind, llama=llama)
    checkpoint = open_checkpoint(file)
    for name, weight in load_file(plain / "model.safetensors").items():
        assert (checkpoint.read(name) == weight.numpy()).all(), name
        if weight.ndim > 1:
            assert (checkpoint.rows(name, 3, 21) == weight[3:21].numpy()).all()


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K", "IQ4_NL"])
def test_types_that_the_package_only_reads_are_read_by_it(tmp_path: Path, kind: str) -> None:
    """It does not write K-quants: their bytes are made up, with scales that are numbers."""
    gguf = module("gguf")
    file, _ = gguf_checkpoint(tmp_path, "F32")
    quantized = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[quantized]
    blocks = np.random.default_rng().integers(0, 60, (512, 256 // block * size), np.uint8)
    writer = gguf.GGUFWriter(file, "qwen3")
    writer.add_tensor("token_embd.weight", blocks, raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = open_checkpoint(file).read("model.embed_tokens.weight")
    np.testing.assert_array_equal(found, gguf.quants.dequantize(blocks, quantized))


@pytest.mark.parametrize(("kind", "llama", "bits"), [("Q4_0", True, 4), ("Q8_0", False, 8)])
def test_the_artifact_holds_the_files_integers_and_gives_their_logits(
    tmp_path: Path, exported: Callable[..., Path], kind: str, llama: bool, bits: int
) -> None:
    file, plain = gguf_checkpoint(tmp_path, kind, llama=llama)
    artifact = exported(file, recipe="kept", kv="fp32", targets=("cpu",))
    recipe = read_manifest(artifact).recipe
    assert {(role.bits, role.group_size, role.kept) for name, role in recipe.roles.items() if name != "norm"} == {
        (bits, 32, True)
    }
    reference = Dequantized(plain, artifact)
    held = reference.model.state_dict()
    for name, weight in load_file(plain / "model.safetensors").items():
        assert (held[name] == weight).all()
    ids = fresh_ids(reference.vocabulary, 1, 60)
    assert relative(Driver(artifact, file=at_level_0(artifact)).step(ids), reference.logits(ids)) <= 1e-3


def test_groups_that_no_integers_can_hold_are_rounded_again_and_that_is_said(tmp_path: Path) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q4_1")
    settings = ExportSettings(checkpoint=str(file), output=tmp_path / "out", targets=("cpu",))
    manifest = export(settings).manifest
    assert manifest.recipe.name == "accurate"
    assert manifest.recipe.notes[0].startswith("attention, lm_head, mlp: stored as GGUF Q4_1, dequantized and rounded")
    assert manifest.certificate is not None
    assert manifest.certificate.figures[0].kl_mean < 0.1


def test_a_folder_with_one_file_is_enough_and_with_two_is_not(tmp_path: Path) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q8_0")
    assert open_checkpoint(file.parent).tensors.keys() == open_checkpoint(file).tensors.keys()
    shutil.copyfile(file, file.with_name("other.gguf"))
    with pytest.raises(CheckpointError, match=r"has 2 GGUF files: give one of them, such as .*model\.gguf"):
        open_checkpoint(file.parent)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_without_config_and_tokenizer_is_told_what_to_fetch(tmp_path: Path, name: str) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q8_0")
    (file.parent / name).unlink()
    with pytest.raises(CheckpointError, match=r"model\.gguf has no config\.json and tokenizer\.json .*hf download"):
        open_checkpoint(file)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"block_count": 3}, "different models: num_hidden_layers is 3 and 2"),
        ({"rope_theta": 1e6}, "different models: rope_theta is 1000000.0 and 10000"),
    ],
)
def test_a_config_of_another_model_is_refused(tmp_path: Path, metadata: dict[str, Any], message: str) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q8_0", **metadata)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(file)


def test_a_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q8_0")
    config = file.parent / "config.json"
    config.write_text(config.read_text(encoding="utf-8").replace('"qwen3"', '"llama"'), encoding="utf-8")
    with pytest.raises(CheckpointError, match="different models: model_type is qwen3 and llama"):
        open_checkpoint(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF", "header is damaged or cut short"),
        (b"GGML" + bytes(20), r"begins with b'GGML' and version 0; expected a GGUF file of version 2 or 3"),
        (b"GGUF" + bytes([3, 0, 0, 0]) + bytes(8) + b"\xff" * 8, "header is damaged or cut short"),
    ],
)
def test_what_is_no_gguf_file_is_refused_without_a_traceback(tmp_path: Path, content: bytes, message: str) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q8_0")
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(file)


def test_a_file_that_is_cut_short_is_told(tmp_path: Path) -> None:
    file, _ = gguf_checkpoint(tmp_path, "Q8_0")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - 5000])
    with pytest.raises(CheckpointError, match=r"model\.gguf is cut short: .* would end beyond it"):
        open_checkpoint(file)


def test_a_tensor_that_no_dense_decoder_has_is_named(tmp_path: Path) -> None:
    gguf = module("gguf")
    file, _ = gguf_checkpoint(tmp_path, "Q8_0")
    writer = gguf.GGUFWriter(file, "qwen3")
    writer.add_tensor("blk.0.ffn_gate_exps.weight", np.zeros((2, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(
        UnsupportedModelError, match=r"has blk\.0\.ffn_gate_exps\.weight, which a dense decoder doesn't"
    ):
        open_checkpoint(file)


def test_a_block_of_q4_0_holds_the_first_half_in_its_low_bits(tmp_path: Path) -> None:
    """By hand: a scale of 2, and bytes whose low halves are 0 to 15 and whose high halves are 15 down to 0."""
    from thinkport.export.checkpoint.gguf.header import GgufEntry
    from thinkport.export.checkpoint.gguf.tensors import gguf_tensor

    file = tmp_path / "model.gguf"
    file.write_bytes(bytes([0x00, 0x40, *(low | (15 - low) << 4 for low in range(16))]))  # 0x4000 is 2 in float16
    tensor = gguf_tensor(file, GgufEntry(name="m", kind=2, shape=(1, 32), offset=0), "m.weight", None)
    halves = [*range(-16, 16, 2)]
    np.testing.assert_array_equal(tensor.rows(0, 1), [halves + halves[::-1]])


def test_a_block_of_q8_0_is_a_scale_and_32_bytes(tmp_path: Path) -> None:
    from thinkport.export.checkpoint.gguf.header import GgufEntry
    from thinkport.export.checkpoint.gguf.tensors import gguf_tensor

    file = tmp_path / "model.gguf"
    file.write_bytes(bytes([0x00, 0x38, *range(0x70, 0x90)]))  # 0x3800 is a half; 0x80 is -128
    tensor = gguf_tensor(file, GgufEntry(name="m", kind=8, shape=(1, 32), offset=0), "m.weight", None)
    np.testing.assert_array_equal(tensor.rows(0, 1)[0, [0, 15, 16, 31]], [56, 63.5, -64, -56.5])
