"""From an artifact to a session: which graph, how the KV cache grows."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkport.runtime.artifact.manifest import Graph, KvLayout, Manifest, check_files, read_manifest
from thinkport.runtime.engine.kv_buffers import CpuBuffers
from thinkport.runtime.engine.kv_cache import LINEAR, STEP, AppendedCache, InPlaceCache, KvSize, capacity_for
from thinkport.runtime.errors import ArtifactError, InputError
from thinkport.runtime.extras import install_line
from thinkport.runtime.model import Model
from thinkport.runtime.providers.ort import choose_graph

SAMPLE = Path(__file__).resolve().parents[2] / "contract" / "manifest.json"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def graph(target: str, providers: list[str], floor: str = "1.24") -> Graph:
    changes = {"file": f"{target}.onnx", "target": target, "providers": providers, "onnxruntime_floor": floor}
    return Manifest.model_validate_json(SAMPLE.read_text(encoding="utf-8")).graphs[0].model_copy(update=changes)


GRAPHS = [graph("cpu", [CPU], "1.30.0"), graph("cuda", [CUDA, CPU]), graph("cpu-plain", [CPU], "1.20")]


@pytest.mark.parametrize(
    ("provider", "available", "version", "file"),
    [
        ("auto", [CPU], "1.32.0", "cpu.onnx"),
        ("auto", [CUDA, CPU], "1.32.0", "cuda.onnx"),
        ("auto", [CPU], "1.24.4", "cpu-plain.onnx"),
        ("cpu", [CUDA, CPU], "1.30.0", "cpu.onnx"),
        ("cpu", [CPU], "1.30", "cpu.onnx"),
        ("CUDAExecutionProvider", [CUDA, CPU], "1.32.0.dev1", "cuda.onnx"),
    ],
)
def test_the_graph_is_the_first_that_the_installed_build_prefers_and_can_run(
    provider, available, version, file
) -> None:
    assert choose_graph(GRAPHS, provider, available, version).file == file


@pytest.mark.parametrize(
    ("provider", "available", "version", "kind", "says"),
    [
        ("tpu", [CPU], "1.32.0", InputError, "expected one of: auto, cpu, cuda, cpu-plain"),
        ("cuda", [CPU], "1.32.0", InputError, f"needs CUDAExecutionProvider.*{re.escape(install_line('cuda'))}"),
        ("auto", [CPU], "1.10.0", ArtifactError, r"cpu.onnx needs ONNX Runtime 1.30.0 or newer"),
    ],
)
def test_an_artifact_that_cannot_run_says_what_it_needs(provider, available, version, kind, says) -> None:
    with pytest.raises(kind, match=says):
        choose_graph(GRAPHS, provider, available, version)


def test_a_folder_that_is_no_artifact_is_refused_before_anything_is_imported(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not an artifact"):
        Model.load(tmp_path)


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.booleans())
def test_capacity_holds_the_tokens_wastes_little_and_stays_within_the_context(total, limit, at_hand) -> None:
    capacity = capacity_for(total, max(total, limit), at_hand=at_hand)
    assert total <= capacity <= max(total, limit)
    assert capacity <= max(STEP, min(2 * total, total + LINEAR) if at_hand else 2 * total)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_all_that_growth_on_a_device_ever_took_is_counted_and_is_little_more_than_double(tokens, context) -> None:
    tokens = min(tokens, context)
    taken, held = [], 0
    for total in range(1, tokens + 1, 97):
        if total > held:
            held = capacity_for(total, context, at_hand=False)
            taken.append(held)
    size = KvSize(token=3, in_place=True, context=context, at_hand=False)
    assert 3 * sum(taken) <= size.bytes(tokens) <= 3 * (max(2 * STEP, 4 * tokens) + STEP)


class FakeBinding:
    """An IO binding that remembers what is bound, by name."""

    def __init__(self):
        self.inputs, self.outputs = {}, {}

    def bind_ortvalue_input(self, name, value) -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name, value) -> None:
        self.outputs[name] = value

    def bind_output(self, name, device, device_id) -> None:
        self.outputs.setdefault(name, None)

    def get_outputs(self):
        return list(self.outputs.values())


class FakeValue:
    """A tensor that is its numpy array."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array

    @staticmethod
    def ortvalue_from_numpy(array, device, number):
        return FakeValue(array)


MODEL = SimpleNamespace(layers=2, kv_heads=2, head_dim=4, context_length=1000)


def cache_of(kind, batch: int = 1):
    layout = KvLayout(dtype="int8", in_place=kind is InPlaceCache)
    binding = FakeBinding()
    return kind(CpuBuffers(SimpleNamespace(OrtValue=FakeValue)), binding, MODEL, layout, batch), binding


def test_in_place_past_and_present_are_one_buffer_and_growth_keeps_its_content() -> None:
    cache, binding = cache_of(InPlaceCache)
    cache.prepare(3)
    first = binding.inputs["past_key_values.1.value"]
    assert binding.outputs["present.1.value"] is first
    assert (first.array.shape, first.array.dtype) == ((1, 2, STEP, 4), np.int8)
    first.array[:, :, :3] = 7
    cache.advance(np.array([3]))
    cache.prepare(STEP + 1)
    grown = binding.inputs["past_key_values.1.value"]
    assert binding.outputs["present.1.value"] is grown
    assert grown.array.shape[2] == 2 * STEP
    assert (grown.array[:, :, :3] == 7).all()
    assert not grown.array[:, :, 3:].any()


def test_in_place_nothing_is_bound_anew_while_there_is_room() -> None:
    cache, binding = cache_of(InPlaceCache)
    cache.prepare(3)
    first = dict(binding.inputs)
    cache.prepare(STEP)
    assert binding.inputs == first


def test_in_place_trimming_lowers_lengths_only() -> None:
    cache, _ = cache_of(InPlaceCache, batch=2)
    cache.prepare(9)
    cache.advance(np.array([9, 4]))
    cache.trim(6)
    assert cache.lengths.tolist() == [6, 4]
    assert cache.length == 6


def test_appended_the_present_becomes_the_past_and_trimming_cuts_it() -> None:
    cache, binding = cache_of(AppendedCache)
    cache.prepare(5)
    assert binding.inputs["past_key_values.0.key"].array.shape == (1, 2, 0, 4)
    for name in binding.outputs:
        binding.outputs[name] = FakeValue(np.ones((1, 2, 5, 4), np.int8))
    cache.advance(np.array([5]))
    cache.trim(2)
    cache.prepare(3)
    assert binding.inputs["past_key_values.0.key"].array.shape == (1, 2, 2, 4)


def test_an_edited_model_card_is_reported_by_verify_only(nano_artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(nano_artifact, folder)
    with (folder / "README.md").open("a", encoding="utf-8") as card:
        card.write("My own words.\n")
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    with pytest.raises(ArtifactError, match=r"README\.md has \d+ bytes"):
        check_files(folder, manifest, verify=True)
