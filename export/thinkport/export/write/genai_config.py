"""genai_config.json, with which onnxruntime-genai opens an artifact. Knows that file's keys; reads and writes no file.

The keys are those of onnxruntime-genai 0.18, which refuses a file with an unknown key: it has none for min_p and the
presence penalty. The four token ids of thoughts and tool calls are left out: generating needs none of them, and the
runtime's DirectML build refuses them.
"""

from typing import Any

from thinkport.deploy.genai_files import genai_graph_name
from thinkport.deploy.targets import target
from thinkport.runtime.artifact.manifest import Graph, Manifest, ModelShape, SamplingPreset

# That runtime allocates the cache for max_length at once: at the usual 40,960 that is gigabytes for the smallest Qwen3.
LONGEST = 4096
ERRORS_ONLY = 3
_INPUTS = ("input_ids", "attention_mask", "position_ids")


def genai_config(
    manifest: Manifest, *, pad_id: int | None, bos_id: int | None, model_type: str | None = None
) -> dict[str, Any]:
    """The content of genai_config.json for the first graph; `genai_overlay` changes it for another one.

    `model_type` is that runtime's name for the architecture, None for the family's own. That runtime requires both ids:
    the last stop token stands in for a missing pad token, and the pad token for a missing first token.
    """
    model, graph, preset = manifest.model, manifest.graphs[0], manifest.sampling.thinking
    pad_id = manifest.stop_ids[-1] if pad_id is None else pad_id
    return {
        "model": {
            "bos_token_id": pad_id if bos_id is None else bos_id,
            "context_length": model.context_length,
            "decoder": {
                "session_options": {
                    "log_id": "onnxruntime-genai",
                    "log_severity_level": ERRORS_ONLY,
                    "provider_options": _provider_options(graph),
                },
                "filename": genai_graph_name(graph.file),
                "head_size": model.head_dim,
                "hidden_size": model.hidden_size,
                "inputs": {name: name for name in _INPUTS if _takes(graph, name)}
                | {"past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"},
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
                "num_attention_heads": model.attention_heads,
                "num_hidden_layers": model.layers,
                "num_key_value_heads": model.kv_heads,
            },
            "eos_token_id": list(manifest.stop_ids),
            "pad_token_id": pad_id,
            "type": model_type or model.family,
            "vocab_size": model.vocab_size,
        },
        "search": _search(model, graph, preset),
    }


def genai_overlay(graph: Graph) -> dict[str, Any]:
    """What changes in genai_config.json to open another graph of the folder: its file, its inputs and its provider.

    They belong together: one without the others would run and compute something else. A CPU graph on DirectML, for
    example, is not rotated.
    """
    positions = {"inputs": {"position_ids": "position_ids"}} if _takes(graph, "position_ids") else {}
    options = {"session_options": {"provider_options": _provider_options(graph)}}
    return {"model": {"decoder": {"filename": genai_graph_name(graph.file)} | positions | options}}


def _provider_options(graph: Graph) -> list[dict[str, Any]]:
    """The provider's entry, by onnxruntime-genai's own name; the CPU has none."""
    name = target(graph.target).genai_provider
    return [] if name is None else [{name: {}}]


def _takes(graph: Graph, name: str) -> bool:
    return any(spec.name == name for spec in graph.inputs)


def _search(model: ModelShape, graph: Graph, preset: SamplingPreset) -> dict[str, Any]:
    search = {
        "do_sample": preset.temperature > 0,
        "max_length": min(model.context_length, LONGEST),
        "min_length": 0,
        "num_beams": 1,
        "num_return_sequences": 1,
        "past_present_share_buffer": graph.kv.in_place,
        "repetition_penalty": preset.repetition_penalty,
    }
    if preset.temperature > 0:
        search |= {"temperature": preset.temperature, "top_k": preset.top_k, "top_p": preset.top_p}
    return search
