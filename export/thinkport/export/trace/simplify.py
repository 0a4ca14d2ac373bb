"""Brings a raw translation into the plain form that the passes expect.

Cases:
    1. weights and buffers lose their (meta) values and take the checkpoint's names;
    2. shape arithmetic on constants is folded, equal expressions are merged;
    3. sizes are read from the same few inputs, whichever tensor the tracer took them from;
    4. slices that keep everything are dropped;
    5. constants become initializers, each value once.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.rules.common import collapse_slice_rule

from thinkport.export.errors import GraphError
from thinkport.export.trace import names

_PREFIX = "model."  # the wrapper's attribute that holds the model


def simplify(model: ir.Model, layers: int) -> None:
    """Rewrite `model` in place; IO takes the names of the artifact."""
    _name_io(model.graph, layers)
    _name_weights(model.graph)
    optimizer.fold_constants(model, onnx_shape_inference=False)
    common.IdentityEliminationPass()(model)
    _ask_sizes_of_inputs(model.graph)
    common.CommonSubexpressionEliminationPass()(model)
    common.LiftConstantsToInitializersPass(size_limit=0, lift_all_constants=True)(model)
    with quiet("onnx_ir"):  # it warns of weights without a value; they get theirs when the artifact is written
        common.DeduplicateInitializersPass()(model)
    RewriteRuleSet([collapse_slice_rule]).apply_to_model(model)
    common.IdentityEliminationPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)


def _name_io(graph: ir.Graph, layers: int) -> None:
    ids, mask, *past = graph.inputs
    logits, *present = graph.outputs
    shapes = [value.shape for value in (ids, mask, past[0])]
    if any(shape is None for shape in shapes):
        raise GraphError("the traced graph's inputs have no shapes: torch.onnx gave another graph than expected")
    of_ids, of_mask, of_past = (shape for shape in shapes if shape is not None)
    dims = {of_ids[0]: "batch_size", of_ids[1]: "sequence", of_past[2]: "past", of_mask[1]: "total"}
    ids.name, mask.name, logits.name = names.INPUT_IDS, names.ATTENTION_MASK, names.LOGITS
    parts = [(layer, part) for layer in range(layers) for part in ("key", "value")]
    for (layer, part), before, after in zip(parts, past, present, strict=True):
        before.name, after.name = names.past_name(layer, part), names.present_name(layer, part)
    for value in (*graph.inputs, *graph.outputs):
        value.shape = ir.Shape([dims.get(dim, dim) for dim in value.shape or ()])


def _name_weights(graph: ir.Graph) -> None:
    for name, value in list(graph.initializers.items()):
        if name.startswith(_PREFIX):
            value.const_value, value.name = None, name.removeprefix(_PREFIX)


def _ask_sizes_of_inputs(graph: ir.Graph) -> None:
    """Read each symbolic dimension from the first input that has it: inputs that share one have the same size."""
    inputs = {value: value.shape for value in graph.inputs}
    for node in graph:
        source = node.inputs[0] if node.op_type == "Shape" else None
        if source not in inputs or "start" not in node.attributes or source is None or source.shape is None:
            continue
        start = node.attributes["start"].as_int()
        dim = source.shape[start]
        first, axis = next((v, i) for v, s in inputs.items() for i, d in enumerate(s or ()) if d == dim)
        node.replace_input_with(0, first)
        node.attributes["start"] = ir.AttrInt64("start", axis)
        node.attributes["end"] = ir.AttrInt64("end", axis + 1)


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Show only errors of these loggers within the block."""
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(found, levels, strict=True):
            logger.setLevel(level)
