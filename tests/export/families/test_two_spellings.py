"""A setting that config.json spells twice means what transformers makes of it, and what disagrees is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

from thinkport.export.errors import UnsupportedModelError
from thinkport.export.families import family_of
from thinkport.export.families.config_reader import disagreements

PLAIN = json.loads(
    (Path(__file__).parents[3] / "artifacts" / "checkpoints" / "nano-qwen3" / "config.json").read_text(encoding="utf-8")
)
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
OLD_YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
DEFAULT = {"rope_type": "default", "rope_theta": 1e6}
CASES: dict[str, dict[str, Any]] = {
    "Qwen's block beside transformers 5's": {"rope_scaling": YARN, "rope_parameters": DEFAULT},
    "the older name of the kind": {"rope_scaling": OLD_YARN, "rope_parameters": DEFAULT},
    "a block without theta, and none elsewhere": {
        "rope_scaling": YARN,
        "rope_parameters": DEFAULT,
        "rope_theta": None,
    },
    "a block with a theta of its own": {"rope_scaling": {**YARN, "rope_theta": 5e5}, "rope_parameters": DEFAULT},
    "no block": {"rope_scaling": None, "rope_parameters": DEFAULT},
    "an empty block": {"rope_scaling": {}, "rope_parameters": {**YARN, "rope_theta": 1e6}},
    "the new name alone": {"rope_parameters": {**YARN, "rope_theta": 1e6}, "rope_theta": None},
    "theta twice": {"rope_parameters": DEFAULT, "rope_theta": 5e5},
    "two kinds in one block": {"rope_scaling": {**YARN, "type": "linear"}},
    "the original length outside": {
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0},
        "original_max_position_embeddings": 512,
    },
    "the original length twice": {"rope_scaling": YARN, "original_max_position_embeddings": 512},
}
SAID = {
    "Qwen's block beside transformers 5's": ["rope_scaling and rope_parameters differ in"],
    "the older name of the kind": ["rope_scaling and rope_parameters differ in"],
    "a block without theta, and none elsewhere": ["differ in", "has no rope_theta, so that it is 10000"],
    "a block with a theta of its own": ["differ in", "rope_theta is 10000, and 500000.0 among"],
    "no block": ["rope_theta is 10000, and 1000000.0 among"],
    "an empty block": ["rope_theta is 10000, and 1000000.0 among"],
    "the new name alone": [],
    "theta twice": ["rope_theta is 500000.0, and 1000000.0 among the rotary parameters; 1000000.0 counts"],
    "two kinds in one block": ["rope_type is 'yarn' and type is 'linear'"],
    "the original length outside": [],
    "the original length twice": ["is 512, and 4096 among the rotary parameters; 512 counts"],
}


def config_of(changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**PLAIN, **changes}.items() if value is not None}


@pytest.mark.parametrize("name", CASES)
def test_the_rotary_parameters_are_those_of_transformers(name: str) -> None:
    config = config_of(CASES[name])
    ours = family_of(config).shape(config).rope
    # A model reads its configuration once more, and then what stands outside of the block counts.
    theirs = Qwen3RotaryEmbedding(Qwen3Config(**json.loads(json.dumps(config)))).config.rope_parameters
    assert (ours.kind, ours.theta) == (theirs["rope_type"], theirs["rope_theta"])
    if ours.kind == "yarn":
        assert (ours.factor, ours.original_context) == (theirs["factor"], theirs["original_max_position_embeddings"])


@pytest.mark.parametrize("name", CASES)
def test_what_the_two_spellings_disagree_in_is_named(name: str) -> None:
    told = disagreements(config_of(CASES[name]))
    assert len(told) == len(SAID[name]), told
    for sentence, part in zip(told, SAID[name], strict=True):
        assert part in sentence


def test_a_part_of_the_heads_that_turns_is_refused_wherever_it_is_named() -> None:
    for changes in ({"partial_rotary_factor": 0.5}, {"rope_parameters": {**DEFAULT, "partial_rotary_factor": 0.5}}):
        config = config_of({"rope_scaling": None, **changes})
        with pytest.raises(UnsupportedModelError, match=r"partial_rotary_factor 0\.5"):
            family_of(config).shape(config)


def test_experts_that_are_counted_twice_are_those_of_the_published_name() -> None:
    assert disagreements({"num_experts": 16, "num_local_experts": 8}) == [
        "config.json: num_experts is 16 and num_local_experts 8; num_experts counts, as in transformers"
    ]
    assert disagreements({"num_experts": 16, "num_local_experts": 16}) == []


def test_nothing_is_said_of_a_published_configuration() -> None:
    assert disagreements(PLAIN) == []


@pytest.mark.parametrize(("sample", "temperatures"), [(False, (0.0, 0.0)), (True, (0.6, 0.7)), (None, (0.6, 0.7))])
def test_that_nothing_is_drawn_at_random_holds_for_thoughts_and_answers(sample: bool | None, temperatures) -> None:
    generation = {} if sample is None else {"do_sample": sample}
    presets = family_of(PLAIN).presets(generation)
    assert (presets.thinking.temperature, presets.answering.temperature) == temperatures
    assert bool(family_of(PLAIN).remarks(PLAIN, generation)) == (sample is False)
