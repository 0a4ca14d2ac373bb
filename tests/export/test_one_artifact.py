"""One artifact for every target: what its graphs share, what each says it needs, and how others open them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto

from thinkport.deploy.targets import TARGETS, target
from thinkport.export.write.blobs import INLINE_BYTES
from thinkport.runtime.artifact.manifest import Manifest, read_manifest
from thinkport.runtime.providers.ort import choose_graph

if TYPE_CHECKING:
    from collections.abc import Callable


FILES = [
    "cpu.onnx",
    "cpu-float32-kv.onnx",
    "dml.onnx",
    "dml-plain.onnx",
    "cuda.onnx",
    "webgpu.onnx",
    "webgpu-float32.onnx",
]
DIRECTML = ["DmlExecutionProvider", "CPUExecutionProvider"]
Place = tuple[int, int]


@pytest.fixture(scope="module")
def manifest(nano_artifact: Path) -> Manifest:
    return read_manifest(nano_artifact)


@pytest.fixture(scope="module")
def models(nano_artifact: Path) -> dict[str, onnx.ModelProto]:
    return {name: onnx.load(nano_artifact / name, load_external_data=False) for name in FILES}


def places(model: onnx.ModelProto, suffix: str = "") -> dict[str, Place]:
    """(offset, length) in weights.bin of the initializers whose names end so."""
    found = {}
    for tensor in model.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if tensor.data_location == TensorProto.EXTERNAL and tensor.name.endswith(suffix):
            assert entries["location"] == "weights.bin"
            found[tensor.name] = int(entries["offset"]), int(entries["length"])
    return found


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_every_target_has_its_graphs_the_best_first(manifest: Manifest) -> None:
    assert [graph.file for graph in manifest.graphs] == FILES
    assert {graph.target for graph in manifest.graphs} == set(TARGETS)
    for graph in manifest.graphs:
        entry = target(graph.target)
        assert tuple(graph.providers) == entry.providers
        assert graph.several_tokens_over_past == entry.several_tokens_over_past
        assert graph.memory_pattern == entry.memory_pattern
        assert graph.activations == entry.activations["float32" in graph.file and entry.activations_optional]
        assert (graph.prefill_chunk, graph.proven_chunk) == (entry.prefill_chunk or 1, entry.proven_chunk)


def test_no_code_of_a_weight_is_stored_twice(models: dict[str, onnx.ModelProto], nano_artifact: Path) -> None:
    codes = {
        place
        for model in models.values()
        for suffix in ("qweight", "table")
        for place in places(model, suffix).values()
    }
    widest = [place for place in codes if not any(place != other and inside(place, other) for other in codes)]
    for (start, length), (following, _) in pairwise(sorted(widest)):
        assert start + length <= following
    weights = 3 * (256 * (512 + 2 * 256) + 512 * 256 + 3 * 256 * 768) + 512 * 256
    assert sum(length for _, length in widest) == weights // 2
    everything = (nano_artifact / "weights.bin").stat().st_size
    assert everything > sum(length for _, length in widest)


def inside(place: Place, other: Place) -> bool:
    return other[0] <= place[0] and place[0] + place[1] <= other[0] + other[1]


def test_directmls_q_k_and_v_are_row_ranges_of_the_packed_projection(models: dict[str, onnx.ModelProto]) -> None:
    for kind, packed_in in (("qweight", "cpu.onnx"), ("scales", "cuda.onnx")):
        packed, apart = places(models[packed_in], kind), places(models["dml.onnx"], kind)
        for layer in range(3):
            stem = f"model.layers.{layer}.self_attn"
            start, length = packed[f"{stem}.qkv_proj.{kind}"]
            for part in ("q", "k", "v"):
                at, size = apart[f"{stem}.{part}_proj.{kind}"]
                assert at == start
                start += size
                length -= size
            assert length == 0


def test_graphs_of_one_type_share_scales_and_tables(models: dict[str, onnx.ModelProto]) -> None:
    wide = ("cpu.onnx", "cpu-float32-kv.onnx", "webgpu-float32.onnx")
    narrow = ("dml.onnx", "dml-plain.onnx", "cuda.onnx", "webgpu.onnx")
    pairs = [(first, other) for first, *others in (wide, narrow) for other in others]
    for left, right in pairs:
        mine, other = places(models[left]), places(models[right])
        both = {name for name in mine if name in other}
        assert {"cos_cache", "model.embed_tokens.scales", "model.layers.0.mlp.gate_up_proj.scales"} <= both
        assert all(mine[name] == other[name] for name in both)


def test_next_to_nothing_is_in_the_graph_files_themselves(models: dict[str, onnx.ModelProto]) -> None:
    for model in models.values():
        inline = [t for t in model.graph.initializer if t.data_location != TensorProto.EXTERNAL]
        assert all(len(t.raw_data) <= INLINE_BYTES for t in inline)
        assert sum(len(t.raw_data) for t in inline) < 20_000


def test_one_artifact_is_little_larger_than_the_cpus_alone(
    made_up: Callable[..., Path], exported: Callable[..., Path]
) -> None:
    checkpoint = made_up("0.6B", "--layers", "2")
    sizes = [total(exported(checkpoint, targets=targets)) for targets in (None, ("cpu",))]
    print(f"all targets {sizes[0] / 1e6:.1f} MB, cpu alone {sizes[1] / 1e6:.1f} MB, {sizes[0] / sizes[1]:.3f}")
    tables = 2 * 40960 * 128  # of a context of any depth: float16 cosine and sine
    assert sizes[0] - tables <= 1.10 * sizes[1]


def total(artifact: Path) -> int:
    return sum(path.stat().st_size for path in artifact.iterdir())


def test_cuda_gets_no_lookup_whose_zero_point_its_builds_take_for_another(models: dict[str, onnx.ModelProto]) -> None:
    assert "GatherBlockQuantized" not in operators(models["cuda.onnx"])


def test_directml_gets_none_of_what_it_computes_wrongly_or_refuses(models: dict[str, onnx.ModelProto]) -> None:
    for name in ("dml.onnx", "dml-plain.onnx"):
        model = models[name]
        assert max(opset.version for opset in model.opset_import) <= target("dml").opset_ceiling
        assert "GatherBlockQuantized" not in operators(model)
        assert model.graph.input[2].name == "position_ids"
        for node in model.graph.node:
            given = {attribute.name for attribute in node.attribute}
            if node.op_type == "GroupQueryAttention":
                assert len(node.input) == 7
                assert all(node.input)
                assert not given & {"do_rotary", "softcap", "local_window_size", "smooth_softmax"}
            if node.op_type == "MatMulNBits":
                assert len(node.input) == 3  # neither zero points nor a bias
    norms = {"SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"}
    assert norms & operators(models["dml.onnx"])
    assert not norms & operators(models["dml-plain.onnx"])


def test_cuda_normalizes_heads_inside_attention_which_takes_the_packed_projection(
    models: dict[str, onnx.ModelProto],
) -> None:
    attentions = [node for node in models["cuda.onnx"].graph.node if node.op_type == "GroupQueryAttention"]
    assert len(attentions) == 3
    assert all(node.input[14] and node.input[15] and not node.input[1] and not node.input[2] for node in attentions)


def test_int8_is_an_option_of_the_targets_that_take_it(nano_checkpoint: Path, exported: Callable[..., Path]) -> None:
    folder = exported(nano_checkpoint, targets=("dml", "cuda"), kv="int8", certificate=True)
    manifest = read_manifest(folder)
    assert {graph.file: graph.kv.dtype for graph in manifest.graphs} == {
        "dml.onnx": "float16",
        "dml-plain.onnx": "float16",
        "cuda.onnx": "int8",
    }
    attentions = [
        node
        for node in onnx.load(folder / "cuda.onnx", load_external_data=False).graph.node
        if node.op_type == "GroupQueryAttention"
    ]
    assert all(node.input[position] for node in attentions for position in (12, 13, 14, 15))  # scales, Q and K norms
    assert manifest.certificate is not None
    assert max(figure.kl_mean for figure in manifest.certificate.figures) < 0.1


@pytest.mark.parametrize(
    ("provider", "available", "version", "expected"),
    [
        ("auto", ["CPUExecutionProvider"], "1.32.0", "cpu.onnx"),
        ("auto", ["CPUExecutionProvider"], "1.24.4", "cpu-float32-kv.onnx"),
        ("auto", DIRECTML, "1.24.4", "dml.onnx"),
        ("cpu", DIRECTML, "1.24.4", "cpu-float32-kv.onnx"),
        ("dml-plain", DIRECTML, "1.24.4", "dml-plain.onnx"),
        ("auto", ["CUDAExecutionProvider", "CPUExecutionProvider"], "1.31.1", "cuda.onnx"),
        ("auto", ["CUDAExecutionProvider", "CPUExecutionProvider"], "1.27.0", "cpu.onnx"),
    ],
)
def test_what_is_installed_gets_the_graph_that_it_runs(
    manifest: Manifest, provider: str, available: list[str], version: str, expected: str
) -> None:
    assert choose_graph(manifest.graphs, provider, available, version).file == expected


def test_every_graph_is_certified_on_the_cpu_and_what_was_changed_is_said(
    manifest: Manifest, nano_artifact: Path
) -> None:
    assert manifest.certificate is not None
    figures = {figure.graph: figure for figure in manifest.certificate.figures}
    assert list(figures) == [*FILES]
    assert {figure.provider for figure in figures.values()} == {"CPUExecutionProvider"}
    changed = {name for name, figure in figures.items() if figure.changed}
    assert changed == {"cuda.onnx"}
    assert max(figure.kl_mean for figure in figures.values()) < 0.1
    card = (nano_artifact / "README.md").read_text(encoding="utf-8")
    assert "All were measured on the CPU" in card
    assert "`cuda.onnx`: run with Q/K norms taken out of attention" in card


def test_bits_a_weight_do_not_depend_on_which_target_comes_first(
    nano_checkpoint: Path, exported: Callable[..., Path]
) -> None:
    bits = {
        read_manifest(exported(nano_checkpoint, targets=order)).recipe.bits_per_weight
        for order in (("cpu", "dml"), ("dml", "cpu"))
    }
    assert bits == {4.5}


def test_every_other_graph_has_an_overlay_of_file_inputs_and_provider(manifest: Manifest, nano_artifact: Path) -> None:
    for graph in manifest.graphs[1:]:
        name = f"genai_overlay.{graph.file.removesuffix('.onnx')}.json"
        decoder = json.loads((nano_artifact / name).read_text(encoding="utf-8"))["model"]["decoder"]
        assert decoder["filename"] == f"genai-{graph.file}"
        provider = decoder["session_options"]["provider_options"]
        assert provider == ([] if graph.target == "cpu" else [{target(graph.target).genai_provider: {}}])
        assert ("inputs" in decoder) == ("position_ids" in {spec.name for spec in graph.inputs})
