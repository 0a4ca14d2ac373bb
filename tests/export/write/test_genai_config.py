"""genai_config.json: what onnxruntime-genai is told, held against that runtime's own reader."""

import json
from pathlib import Path
from typing import Any

import pytest

from thinkport.export.write.genai_config import genai_config
from thinkport.runtime.artifact.manifest import KvLayout, Manifest

SAMPLE = Path(__file__).parents[2] / "contract" / "manifest.json"


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate_json(SAMPLE.read_bytes())


def written(manifest: Manifest, *, bos_id: int | None = None, **changes: Any) -> dict[str, Any]:
    return genai_config(manifest.model_copy(update=changes), pad_id=0, bos_id=bos_id)


def test_the_decoder_is_the_graph_with_the_ecosystems_names(manifest: Manifest) -> None:
    decoder = written(manifest)["model"]["decoder"]
    assert decoder["filename"] == "genai-cpu.onnx"
    assert decoder["head_size"] == 128 != decoder["hidden_size"] // decoder["num_attention_heads"]
    assert (decoder["num_hidden_layers"], decoder["num_key_value_heads"]) == (3, 2)
    names = {spec.name for spec in (*manifest.graphs[0].inputs, *manifest.graphs[0].outputs)}
    patterns = {**decoder["inputs"], **decoder["outputs"]}.values()
    told = {p % n if "%d" in p else p for p in patterns for n in range(3)}
    assert told == names - {"logits_to_keep"}


def test_an_input_that_the_graph_lacks_is_not_named(manifest: Manifest) -> None:
    assert "position_ids" not in written(manifest)["model"]["decoder"]["inputs"]


def test_the_ids_are_those_of_the_tokenizer(manifest: Manifest) -> None:
    model = written(manifest, bos_id=7)["model"]
    assert (model["eos_token_id"], model["pad_token_id"], model["bos_token_id"]) == ([2, 0], 0, 7)
    assert written(manifest)["model"]["bos_token_id"] == 0


@pytest.mark.parametrize(("context", "longest"), [(512, 512), (4096, 4096), (40960, 4096), (262144, 4096)])
def test_the_cache_it_allocates_at_once_stays_small(manifest: Manifest, context: int, longest: int) -> None:
    model = manifest.model.model_copy(update={"context_length": context})
    told = written(manifest, model=model)
    assert (told["model"]["context_length"], told["search"]["max_length"]) == (context, longest)


def test_sampling_is_the_presets_and_a_temperature_of_zero_is_greedy(manifest: Manifest) -> None:
    search = written(manifest)["search"]
    assert (search["do_sample"], search["temperature"], search["top_k"], search["top_p"]) == (True, 0.6, 20, 0.95)
    preset = manifest.sampling.thinking.model_copy(update={"temperature": 0.0})
    greedy = written(manifest, sampling=manifest.sampling.model_copy(update={"thinking": preset}))["search"]
    assert not greedy["do_sample"]
    assert "temperature" not in greedy


def test_one_buffer_for_past_and_present_is_shared_there_too(manifest: Manifest) -> None:
    assert written(manifest)["search"]["past_present_share_buffer"] is True
    apart = manifest.graphs[0].model_copy(update={"kv": KvLayout(dtype="float32", in_place=False)})
    told = written(manifest, graphs=[apart])
    assert told["search"]["past_present_share_buffer"] is False


def test_the_runtimes_own_reader_knows_every_key(manifest: Manifest, tmp_path: Path) -> None:
    genai = pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai has no package for this machine")
    path = tmp_path / "genai_config.json"
    path.write_text(json.dumps(written(manifest)), encoding="utf-8")
    genai.Config(str(tmp_path))
    told = written(manifest)
    told["search"]["surprise"] = 1
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(Exception, match="surprise"):
        genai.Config(str(tmp_path))
