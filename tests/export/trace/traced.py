"""The reference checkpoint's architecture, traced once a run at two layers and laid out to any depth."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from thinkport.export.families import DecoderShape, Family, family_of, inv_freq_and_scaling
from thinkport.export.passes.contract import GraphPass
from thinkport.export.trace.layers import lay_out_layers
from thinkport.export.trace.trace import TRACED_LAYERS, trace

NANO = Path(__file__).resolve().parents[3] / "artifacts" / "checkpoints" / "nano-qwen3"


def nano(layers: int = TRACED_LAYERS) -> tuple[Family, DecoderShape]:
    """The reference checkpoint's family, and its sizes with another number of layers."""
    config = json.loads((NANO / "config.json").read_text(encoding="utf-8"))
    family = family_of(config)
    return family, replace(family.shape(config), layers=layers)


def traced(layers: int = TRACED_LAYERS, *passes: GraphPass) -> ir.Model:
    """A fresh copy of the traced graph, `layers` deep, with the passes run on it."""
    model = _two_layers().clone()
    if layers != TRACED_LAYERS:
        lay_out_layers(model, TRACED_LAYERS, layers)
    for graph_pass in passes:
        graph_pass(model)
    return model


@cache
def _two_layers() -> ir.Model:
    config = json.loads((NANO / "config.json").read_text(encoding="utf-8"))
    family, shape = nano()
    return trace(family, config, shape)


def random_weights(layers: int = TRACED_LAYERS) -> dict[str, NDArray[np.float32]]:
    """Fresh weights of such a model by name, and the buffer of rotary frequencies."""
    family, shape = nano(layers)
    generator = np.random.default_rng()
    weights = {
        name: generator.normal(scale=size[-1] ** -0.5 if len(size) > 1 else 1.0, size=size).astype(np.float32)
        for name, size in family.expected_tensors(shape).items()
    }
    return weights | {family.frequencies_name: inv_freq_and_scaling(shape)[0]}


def node(model: ir.Model, name: str) -> ir.Node:
    """The node of that name."""
    return next(node for node in model.graph if node.name == name)
