"""Traces each model once a run, whichever worker process needs it first: by far the longest stage of a small export."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from tests.made_once import made_once

from thinkport.export.trace.layers import lay_out_layers
from thinkport.export.trace.trace import TRACED_LAYERS, trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from thinkport.export.families import DecoderShape, Family

FILE = "traced.onnx"
UNTRACED = {"num_hidden_layers", "bos_token_id", "eos_token_id", "pad_token_id", "torch_dtype", "dtype"}


def traced_once(
    factory: pytest.TempPathFactory, family: Family, config: Mapping[str, Any], shape: DecoderShape
) -> ir.Model:
    """What `trace` gives; that a model's traces are alike, and its layers too, are tests of their own."""
    layers = min(TRACED_LAYERS, shape.layers)
    asked = {name: value for name, value in config.items() if name not in UNTRACED}
    key = ("traced", layers, json.dumps(asked, sort_keys=True))
    folder = made_once(
        factory, key, "graph", lambda folder: _write(folder, trace(family, config, replace(shape, layers=layers)))
    )
    model = _read(folder / FILE)
    lay_out_layers(model, layers, shape.layers)
    return model


def _write(folder: Path, model: ir.Model) -> None:
    for name, weight in model.graph.initializers.items():
        if weight.const_value is None:  # which no file can say: one that is elsewhere stands for it
            assert weight.dtype is not None
            assert weight.shape is not None
            weight.const_value = ir.ExternalTensor("nowhere", None, None, weight.dtype, shape=weight.shape, name=name)
    folder.mkdir()
    (folder / FILE).write_bytes(ir.to_proto(model).SerializeToString())


def _read(file: Path) -> ir.Model:
    model = ir.load(file)
    for weight in model.graph.initializers.values():
        if isinstance(weight.const_value, ir.ExternalTensor):
            weight.const_value = None
    return model
