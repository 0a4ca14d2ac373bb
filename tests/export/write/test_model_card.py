"""The model card says what the manifest says, and no more."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from thinkport.export.write.model_card import CARD_NAME, model_card
from thinkport.runtime.artifact.manifest import Manifest

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the export's packages")
SAMPLE = Path(__file__).parents[2] / "contract" / "manifest.json"


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate_json(SAMPLE.read_bytes())


def of_the_hub(manifest: Manifest) -> Manifest:
    source = manifest.source.model_copy(update={"id": "Qwen/Qwen3-0.6B", "revision": "c1899de289a04d12"})
    return manifest.model_copy(update={"source": source})


def front_matter(card: str) -> dict[str, Any]:
    opening, matter, _ = card.split("---\n", 2)
    assert opening == ""
    read = yaml.safe_load(matter)
    assert isinstance(read, dict)
    return read


def test_a_checkpoint_of_the_hub_is_the_base_model_at_its_revision(manifest: Manifest) -> None:
    card = model_card(of_the_hub(manifest), license_id="apache-2.0")
    matter = front_matter(card)
    assert (matter["base_model"], matter["base_model_relation"]) == ("Qwen/Qwen3-0.6B", "quantized")
    assert matter["license"] == "apache-2.0"
    assert matter["pipeline_tag"] == "text-generation"
    assert "at revision `c1899de289a04d12`" in card


def test_a_float32_artifact_is_not_called_quantized(manifest: Manifest) -> None:
    plain = of_the_hub(manifest)
    plain = plain.model_copy(update={"recipe": plain.recipe.model_copy(update={"precision": "fp32"})})
    assert "base_model_relation" not in front_matter(model_card(plain))


def test_a_local_checkpoint_is_no_base_model(manifest: Manifest) -> None:
    card = model_card(manifest)
    assert "base_model" not in front_matter(card)
    assert "`nano-qwen3` as an ONNX artifact" in card


def test_a_name_that_yaml_would_misread_is_quoted(manifest: Manifest) -> None:
    odd = of_the_hub(manifest)
    odd = odd.model_copy(update={"source": odd.source.model_copy(update={"id": "no: #1"})})
    assert front_matter(model_card(odd))["base_model"] == "no: #1"


def test_the_certificates_figures_are_given(manifest: Manifest) -> None:
    card = model_card(manifest)
    first = "| `cpu.onnx` | close | 4096 | 0.0123 | 0.01 to 0.015 | 0.045 | 0.31 | 97.2% | 99.8% | 0.991 |"
    assert f"{first} 11.6 (11.2) | 31 of 48 |" in card
    assert "| prose | close | 900 | 0.012 | 0.009 to 0.015 | 97.0% | 11.6 (11.2) |" in card
    assert "| long context | too few | 24 |" in card
    assert "**close**: close means a mean KL divergence of at most 0.05 nats" in card
    assert "goldens.safetensors" in card


def test_the_command_that_measures_the_figures_again_is_given(manifest: Manifest) -> None:
    assert manifest.certificate is not None
    command = "thinkport verify . --checkpoint Qwen/Qwen3-0.6B@c1899de2"
    certificate = manifest.certificate.model_copy(update={"command": command})
    card = model_card(manifest.model_copy(update={"certificate": certificate}))
    assert f"`{command}` measures these figures again" in card


def test_how_a_graph_was_run_otherwise_is_told_of_the_cpus_alone_too(manifest: Manifest) -> None:
    assert manifest.certificate is not None
    changes = {"changed": "its layers loaded apart"}
    figures = [figure.model_copy(update=changes) for figure in manifest.certificate.figures]
    certificate = manifest.certificate.model_copy(update={"figures": figures})
    own = [graph for graph in manifest.graphs if graph.target == "cpu"]
    card = model_card(manifest.model_copy(update={"certificate": certificate, "graphs": own}))
    assert "`cpu.onnx`: run with its layers loaded apart." in " ".join(card.split())


def test_a_directml_artifact_says_how_its_main_graph_is_opened(manifest: Manifest) -> None:
    changes = {"file": "dml.onnx", "target": "dml", "memory_pattern": False, "several_tokens_over_past": False}
    graph = manifest.graphs[0].model_copy(update=changes)
    card = model_card(manifest.model_copy(update={"graphs": [graph], "certificate": None}))
    assert "pip install onnxruntime-genai-winml" in card
    assert "enable_mem_pattern = False" in card
    assert "`dml.onnx`: begin a new generator for every turn" in card


def test_without_a_certificate_the_card_says_that_nothing_was_measured(manifest: Manifest) -> None:
    card = model_card(manifest.model_copy(update={"certificate": None}))
    assert "Nothing was measured" in card
    assert "KL |" not in card


def test_every_role_and_every_file_but_the_card_is_listed(manifest: Manifest) -> None:
    card = model_card(manifest)
    assert "| attention | 4 | 32 | 1,179,648 | 5.00 |" in card
    assert {name for name in manifest.files if f"| `{name}`" in card} == set(manifest.files) - {CARD_NAME}


def test_a_model_without_thinking_is_not_asked_to_think(manifest: Manifest) -> None:
    assert "--think" in model_card(manifest)
    assert "--think" not in model_card(manifest.model_copy(update={"thinking": None}))


def test_a_checkpoint_without_a_licence_is_said_to_have_none(manifest: Manifest) -> None:
    bare = {name: record for name, record in manifest.files.items() if name != "LICENSE"}
    card = model_card(manifest.model_copy(update={"files": bare}))
    assert "license" not in front_matter(card)
    assert "which named none" in card


def test_a_licence_that_lies_beside_the_weights_is_named(manifest: Manifest) -> None:
    record = manifest.files["tokenizer.json"]
    files = {**manifest.files, "LICENSE.txt": record, "NOTICE": record}
    with_text = manifest.model_copy(update={"files": files})
    assert "Its text is in this folder: `LICENSE`, `LICENSE.txt`, `NOTICE`." in model_card(with_text)
    assert "ask its authors" not in model_card(with_text)
    assert "come from: `mit`. Its text is in" in model_card(with_text, license_id="mit")


def test_the_python_it_shows_is_python(manifest: Manifest) -> None:
    blocks = re.findall(r"```python\n(.*?)```", model_card(manifest), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        ast.parse(block)
