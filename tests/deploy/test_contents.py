"""Looking into an artifact: what is derived from its manifest, and what is refused."""

import json
from pathlib import Path

import pytest

from thinkport.deploy.contents import folded, look_inside
from thinkport.runtime.artifact.manifest import Manifest, TensorSpec
from thinkport.runtime.errors import ArtifactError


def test_a_whole_artifact_is_read_without_opening_its_graph(artifact: Path, manifest: Manifest) -> None:
    contents = look_inside(artifact)
    assert contents.manifest == manifest
    assert contents.total_bytes == sum(
        path.stat().st_size for path in artifact.iterdir() if path.name != "thinkport.json"
    )


def test_the_cache_is_sized_by_its_type_and_stops_at_the_models_context(artifact: Path) -> None:
    token = 2 * 3 * 2 * 128 * 1  # keys and values, layers, KV heads, width, int8
    found = [(entry.asked, entry.tokens, entry.bytes) for entry in look_inside(artifact).kv_memory]
    assert found == [(1024, 1024, 1024 * token), (4096, 4096, 4096 * token), (40960, 8192, 8192 * token)]


def test_a_pass_is_shown_by_the_operators_it_added_and_removed(artifact: Path) -> None:
    traced, norms, attention = look_inside(artifact).passes
    assert traced.change == {}
    assert norms.change["SimplifiedLayerNormalization"] == norms.record.fired == 13
    assert norms.change["Pow"] == -13
    assert "Softmax" not in norms.change
    for delta in (norms, attention):
        assert sum(delta.change.values()) == delta.record.nodes_after - delta.record.nodes_before


def test_tensors_of_all_layers_fold_into_one_line(manifest: Manifest) -> None:
    assert [name for name, _ in folded(manifest.graphs[0].inputs)] == [
        "input_ids",
        "attention_mask",
        "past_key_values.0-2.key",
        "past_key_values.0-2.value",
        "logits_to_keep",
    ]


def test_layers_of_different_shapes_stay_apart() -> None:
    wide = TensorSpec(name="present.1.key", dtype="int8", shape=[2])
    narrow = TensorSpec(name="present.0.key", dtype="int8", shape=[1])
    assert [name for name, _ in folded([narrow, wide])] == ["present.0.key", "present.1.key"]


def test_the_json_form_is_json_and_holds_the_manifest(artifact: Path, manifest: Manifest) -> None:
    read = json.loads(json.dumps(look_inside(artifact, verify=True).as_json()))
    assert read["verified"] == "sha256"
    assert Manifest.model_validate(read["manifest"]) == manifest


def test_a_missing_file_is_refused(artifact: Path) -> None:
    (artifact / "weights.bin").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.bin is missing"):
        look_inside(artifact)


def test_a_flipped_byte_is_found_by_hashing_only(artifact: Path) -> None:
    path = artifact / "weights.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert not look_inside(artifact).verified
    with pytest.raises(ArtifactError, match="sha256"):
        look_inside(artifact, verify=True)
