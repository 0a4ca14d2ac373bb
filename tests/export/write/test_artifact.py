"""The bytes of an artifact: where each weight lies, and that the manifest speaks of every file."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from tests.export.passes.graphs import graph, normal, without_values
from tests.export.planned import planned
from tests.export.trace.traced import nano, traced
from tests.plain_recipes import PLAIN

from thinkport.export.checkpoint import Checkpoint, open_checkpoint
from thinkport.export.pipeline import Pipeline, run_passes
from thinkport.export.quantize.packing import pack
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.quantize.rounding import quantize_rows
from thinkport.export.write.blobs import INLINE_BYTES, LINE, PAGE, plan_blobs
from thinkport.runtime.artifact.manifest import MANIFEST_NAME, check_files, hash_file, read_manifest

RECIPE = PLAIN[64]


@pytest.fixture(scope="module")
def checkpoint(nano_checkpoint: Path) -> Checkpoint:
    return open_checkpoint(nano_checkpoint)


@pytest.fixture(scope="module")
def quantized() -> ir.Model:
    family, shape = nano(3)
    model = traced(3)
    run_passes(model, Pipeline(family=family, shape=shape, recipe=RECIPE).passes(planned()))
    return model


def rows_of(name: str) -> int:
    """Rows of a checkpoint tensor."""
    family, shape = nano(3)
    return family.expected_tensors(shape)[name][0]


def stored(artifact: Path, name: str) -> NDArray[np.uint8]:
    """The bytes of an initializer that lies in `weights.bin`."""
    tensor = next(
        t for t in onnx.load(artifact / "cpu.onnx", load_external_data=False).graph.initializer if t.name == name
    )
    place = {entry.key: entry.value for entry in tensor.external_data}
    assert place["location"] == "weights.bin"
    with (artifact / "weights.bin").open("rb") as file:
        file.seek(int(place["offset"]))
        return np.frombuffer(file.read(int(place["length"])), np.uint8)


def rounded(checkpoint: Checkpoint, name: str, how: RoleRecipe) -> tuple[bytes, bytes]:
    """Codes and scales of one checkpoint tensor, quantized alone."""
    found = quantize_rows(checkpoint.read(name), bits=how.bits, group_size=how.group_size)
    return pack(found.codes, bits=how.bits, group_size=how.group_size).tobytes(), found.scales.tobytes()


def test_blobs_are_aligned_and_do_not_overlap(quantized: ir.Model) -> None:
    blobs = plan_blobs([quantized.graph], rows_of).blobs
    assert all(blob.offset % (PAGE if blob.nbytes >= PAGE else LINE) == 0 for blob in blobs)
    for before, after in pairwise(blobs):
        assert before.offset + before.nbytes <= after.offset < before.offset + before.nbytes + PAGE


def test_codes_are_followed_by_their_own_scales(quantized: ir.Model) -> None:
    blobs = plan_blobs([quantized.graph], rows_of).blobs
    codes = [(number, blob) for number, blob in enumerate(blobs) if blob.source and blob.source.part == "codes"]
    assert len(codes) == 3 * 4 + 1
    for number, blob in codes:
        following = blobs[number + 1].source
        assert blob.source is not None
        assert following is not None
        assert (following.part, following.tensors) == ("scales", blob.source.tensors)


def test_only_what_is_tiny_stays_in_the_graph() -> None:
    sizes = {"small": INLINE_BYTES // 4, "large": INLINE_BYTES // 4 + 1}
    text = "g (float[1] x) => (float[N] y) { a = Add(x, small)  b = Add(x, large)  y = Concat<axis=0>(a, b) }"
    model = graph(text, **{name: normal(size) for name, size in sizes.items()})
    for kind in (model, without_values(model.clone(), "small", "large")):
        layout = plan_blobs([kind.graph], rows_of)
        assert len(layout.blobs) == 1
        assert layout.place(kind.graph.initializers["small"]) is None
        assert layout.place(kind.graph.initializers["large"]) is layout.blobs[0]


@pytest.mark.parametrize(
    ("packed", "parts"),
    [("self_attn.qkv_proj", ["q_proj", "k_proj", "v_proj"]), ("mlp.gate_up_proj", ["gate_proj", "up_proj"])],
)
def test_projections_are_row_ranges_of_the_packed_codes_and_scales(
    nano_artifact: Path, checkpoint: Checkpoint, packed: str, parts: list[str]
) -> None:
    block = packed.split(".")[0]
    how = RECIPE.for_role("attention" if block == "self_attn" else "mlp", tied=True)
    assert how is not None
    for layer in range(3):
        stem = f"model.layers.{layer}"
        alone = [rounded(checkpoint, f"{stem}.{block}.{part}.weight", how) for part in parts]
        assert stored(nano_artifact, f"{stem}.{packed}.qweight").tobytes() == b"".join(codes for codes, _ in alone)
        assert stored(nano_artifact, f"{stem}.{packed}.scales").tobytes() == b"".join(scales for _, scales in alone)


def test_the_tied_table_lies_at_one_offset_for_both_of_its_readers(nano_artifact: Path, checkpoint: Checkpoint) -> None:
    initializers = {
        t.name: t for t in onnx.load(nano_artifact / "cpu.onnx", load_external_data=False).graph.initializer
    }
    table, head = initializers["model.embed_tokens.table"], initializers["model.embed_tokens.qweight"]
    assert [str(entry) for entry in table.external_data] == [str(entry) for entry in head.external_data]
    assert list(table.dims) == [512, 256 // 2]
    assert list(head.dims) == [512, 256 // 64, 64 // 2]
    codes, _ = rounded(checkpoint, "model.embed_tokens.weight", RECIPE.layers)
    assert stored(nano_artifact, "model.embed_tokens.table").tobytes() == codes


def test_unquantized_weights_are_the_checkpoints_own_numbers(nano_fp32_artifact: Path, checkpoint: Checkpoint) -> None:
    found = stored(nano_fp32_artifact, "model.layers.1.mlp.gate_up_proj.weight").view(np.float32)
    wanted = [checkpoint.read(f"model.layers.1.mlp.{part}_proj.weight").ravel() for part in ("gate", "up")]
    np.testing.assert_array_equal(found, np.concatenate(wanted))


def test_the_manifest_records_every_file_with_its_size_and_hash(nano_artifact: Path) -> None:
    manifest = read_manifest(nano_artifact)
    files = {path.name for path in nano_artifact.iterdir()}
    assert set(manifest.files) == files - {MANIFEST_NAME}
    check_files(nano_artifact, manifest, verify=True)
    assert manifest.files["weights.bin"].sha256 == hash_file(nano_artifact / "weights.bin")


def test_the_manifest_is_written_last(nano_artifact: Path) -> None:
    written = {path.name: path.stat().st_mtime_ns for path in nano_artifact.iterdir()}
    assert written[MANIFEST_NAME] == max(written.values())


def test_the_file_holds_the_weights_and_no_padding_at_its_end(
    nano_checkpoint: Path, exported: Callable[..., Path], quantized: ir.Model
) -> None:
    artifact = exported(nano_checkpoint, targets=("cpu",), kv="fp32")
    assert (artifact / "weights.bin").stat().st_size == plan_blobs([quantized.graph], rows_of).nbytes


def test_bits_per_weight_are_those_of_the_bytes(nano_artifact: Path) -> None:
    recipe = read_manifest(nano_artifact).recipe
    family, shape = nano(3)
    matrices = [s for s in family.expected_tensors(shape).values() if len(s) > 1]
    assert sum(role.weights for role in recipe.roles.values()) == sum(a * b for a, b in matrices)
    assert recipe.bits_per_weight == 4 + 32 / 64
    assert all(role.relative_error is not None and 0 < role.relative_error < 0.02 for role in recipe.roles.values())
