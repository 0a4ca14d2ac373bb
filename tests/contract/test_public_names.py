"""The public names of each part: what an embedder may rely on changes here first, and in the changelog."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"thinkport.export": "export", "thinkport.deploy": "deploy", "thinkport.runtime": "runtime_py"}
NAMES = {
    "thinkport.deploy": [
        "TARGETS",
        "Contents",
        "KvMemory",
        "Target",
        "install_line",
        "look_inside",
        "require",
        "target",
    ],
    "thinkport.export": [
        "CheckpointError",
        "ExportError",
        "ExportReport",
        "ExportSettings",
        "GraphError",
        "Listener",
        "OutputError",
        "RecipeError",
        "UnsupportedModelError",
        "export",
    ],
    "thinkport.runtime": [
        "AnswerPiece",
        "ArtifactError",
        "CacheLostError",
        "CallbackError",
        "Attempt",
        "Chat",
        "Choice",
        "Choose",
        "DecidedBy",
        "End",
        "Engine",
        "Event",
        "Finish",
        "Generation",
        "GreedyThinkingWarning",
        "InputError",
        "JsonSchema",
        "LoadProgress",
        "LoadStage",
        "Manifest",
        "MissingExtraError",
        "Model",
        "Origin",
        "OtherThought",
        "Outcome",
        "ParallelThoughts",
        "ProviderReport",
        "ProviderWarning",
        "Regex",
        "Reply",
        "ResponseFormat",
        "RowSettings",
        "Sampler",
        "SamplingSettings",
        "ScoredToken",
        "Speed",
        "Stop",
        "Switch",
        "TextScore",
        "Thinking",
        "ThinkingEnd",
        "ThinkportError",
        "ThinkportWarning",
        "ThoughtEnd",
        "ThoughtPiece",
        "ThoughtsProgress",
        "Token",
        "ToolCall",
        "Turn",
        "tool_of",
    ],
}


@pytest.mark.parametrize("part", NAMES)
def test_a_part_exports_the_pinned_names_and_nothing_else(part: str) -> None:
    module = importlib.import_module(part)
    assert sorted(module.__all__) == sorted(NAMES[part])


@pytest.mark.parametrize("part", NAMES)
def test_every_public_name_is_there_and_explained(part: str) -> None:
    module = importlib.import_module(part)
    unexplained = [name for name in NAMES[part] if callable(value := getattr(module, name)) and not value.__doc__]
    assert not unexplained


def test_every_part_that_exports_names_is_pinned() -> None:
    exporting = {p for p, root in FOLDERS.items() if (ROOT / root / p.replace(".", "/") / "__init__.py").is_file()}
    assert exporting == set(NAMES)
