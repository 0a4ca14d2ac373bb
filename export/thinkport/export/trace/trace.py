"""From a family's wrapper to an ONNX graph. It runs on the meta device and reads no weight.

Knows torch.export and torch.onnx. Must not know what a pass does with the graph.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
import torch

from thinkport.export.families import DecoderShape, Family
from thinkport.export.trace import names
from thinkport.export.trace.layers import lay_out_layers
from thinkport.export.trace.simplify import quiet, simplify

TRACED_LAYERS = 2  # one to be copied and one to prove that the structure repeats


def trace(family: Family, config: Mapping[str, Any], shape: DecoderShape) -> ir.Model:
    """The whole decoder as an unfused opset-21 graph.

    Two layers are traced, whatever the depth; the others are copies of the second. Weights are initializers without a
    value, named as in the checkpoint.

    Raises:
        GraphError: the two traced layers differ, so that a copy of one would be wrong.
    """
    layers = min(TRACED_LAYERS, shape.layers)
    wrapper, samples = family.build_traceable(config, shape, layers)
    model = _to_onnx(wrapper, samples)
    simplify(model, layers)
    table = model.graph.initializers.get(names.LM_HEAD)
    if table is not None and names.EMBEDDING not in model.graph.initializers:
        # The tracer names a table shared by embedding and lm_head after the latter, the checkpoint after the former.
        table.name = names.EMBEDDING
    lay_out_layers(model, layers, shape.layers)
    return model


def _to_onnx(wrapper: torch.nn.Module, samples: tuple[Any, ...]) -> ir.Model:
    dynamic = torch.export.Dim.DYNAMIC
    pair = ({0: dynamic, 2: dynamic}, {0: dynamic, 2: dynamic})
    shapes = ({0: dynamic, 1: dynamic}, {0: dynamic, 1: dynamic}, [pair] * len(samples[2]))
    # The exporter warns that torchvision is missing, which nothing here needs.
    with quiet("torch.onnx"), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(wrapper, samples, dynamic_shapes=shapes, strict=False)
        translated = torch.onnx.export(program, dynamo=True, optimize=False, opset_version=names.OPSET, verbose=False)
    if translated is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return translated.model
