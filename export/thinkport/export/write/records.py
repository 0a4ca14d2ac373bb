"""The manifest's records of a finished graph: model, graph, recipe, tools.

Knows the manifest's schema and onnx_ir values. Must not write files.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import onnx_ir as ir

from thinkport.export.families import DecoderShape
from thinkport.export.plans import GraphPlan
from thinkport.export.quantize import Recipe as QuantizeRecipe
from thinkport.export.quantize import Role, RoundingError
from thinkport.export.trace.names import past_name
from thinkport.export.trace.source import source_of
from thinkport.export.write.blobs import nbytes_of
from thinkport.runtime.artifact.manifest import Graph, KvLayout, ModelShape, Recipe, RoleFormat, TensorSpec

_TOOLS = ("thinkport", "torch", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


def model_record(family: str, shape: DecoderShape) -> ModelShape:
    """The model's numbers."""
    return ModelShape(
        family=family,
        layers=shape.layers,
        hidden_size=shape.hidden_size,
        attention_heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate_size,
        vocab_size=shape.vocab_size,
        context_length=shape.context_length,
        tied_embeddings=shape.tied,
        rope_theta=shape.rope.theta,
    )


def graph_record(model: ir.Model, plan: GraphPlan) -> Graph:
    """What a runtime must know of a graph file before opening it."""
    graph, target = model.graph, plan.target
    chunk = target.prefill_chunk if target.several_tokens_over_past else None
    floor = plan.kv.onnxruntime_floor
    if plan.accelerates is not None and target.prefill is not None:
        chunk, floor = target.prefill.chunk, target.prefill.onnxruntime_floor
    return Graph(
        file=plan.file,
        target=target.name,
        providers=list(target.providers),
        onnxruntime_floor=floor,
        fused=plan.fuse,
        nodes=len(list(graph)),
        kv=KvLayout(dtype=_kv_dtype(graph), in_place=plan.fuse and target.kv_in_place),
        inputs=[_spec(value) for value in graph.inputs],
        outputs=[_spec(value) for value in graph.outputs],
        several_tokens_over_past=target.several_tokens_over_past,
        prefill_chunk=chunk or 1,
        activations=plan.activations,
        memory_pattern=target.memory_pattern,
        plain_norms=plan.plain_norms,
        graph_capture=plan.fuse and target.graph_capture,
    )


def _kv_dtype(graph: ir.Graph) -> Literal["float32", "float16", "int8"]:
    """The type of the cache as the finished graph takes it."""
    past = next(value for value in graph.inputs if value.name == past_name(0, "key"))
    return _spec(past).dtype  # type: ignore[return-value]  # KvLayout checks it


def recipe_record(
    graph: ir.Graph,
    recipe: QuantizeRecipe | None,
    role: Callable[[str], Role],
    errors: Mapping[str, RoundingError],
    *,
    tied: bool,
) -> Recipe:
    """How every weight was stored, by role, from one graph's own initializers; a shared one counts once.

    Scales are as wide as what a graph computes in: bits a weight are those of this graph.
    """
    bits: dict[str, int] = {}
    weights: dict[str, int] = {}
    seen = set()
    for value in graph.initializers.values():
        source = source_of(value)
        if source is None or source in seen or not _is_matrix(value):
            continue
        seen.add(source)
        name: str = source.role or role(source.tensors[0])
        bits[name] = bits.get(name, 0) + 8 * nbytes_of(value)
        if source.part == "codes":
            how = recipe.for_role(name, tied=tied) if recipe is not None else None
            weights[name] = weights.get(name, 0) + nbytes_of(value) * 8 // (how.bits if how else 8)
        elif source.part == "whole":
            weights[name] = weights.get(name, 0) + nbytes_of(value) // 4
    roles = {name: _format(name, bits[name], weights[name], recipe, errors, tied=tied) for name in sorted(weights)}
    return Recipe(
        name=recipe.name if recipe else "fp32",
        precision=_precision(roles),
        bits_per_weight=sum(bits.values()) / sum(weights.values()),
        roles=roles,
    )


def _precision(roles: Mapping[str, RoleFormat]) -> Literal["int4", "int8", "fp32"]:
    """What most weights are stored in."""
    bits = max(roles.values(), key=lambda role: role.weights).bits
    return {4: "int4", 8: "int8"}.get(bits, "fp32")  # type: ignore[return-value]


def _format(
    name: str,
    bits: int,
    weights: int,
    recipe: QuantizeRecipe | None,
    errors: Mapping[str, RoundingError],
    *,
    tied: bool,
) -> RoleFormat:
    how = recipe.for_role(name, tied=tied) if recipe is not None else None
    return RoleFormat(
        bits=how.bits if how else 32,
        group_size=how.group_size if how else None,
        accuracy_level=how.accuracy_level if how else None,
        weights=weights,
        bits_per_weight=bits / weights,
        relative_error=errors[name].relative if name in errors else None,
    )


def _is_matrix(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) > 1


def _spec(value: ir.Value) -> TensorSpec:
    dtype = "unknown" if value.dtype is None else str(value.dtype.numpy())
    dims = [dim if isinstance(dim, int) else str(dim) for dim in value.shape or ()]
    return TensorSpec(name=value.name or "", dtype=dtype, shape=dims)


def tool_versions() -> dict[str, str]:
    """Versions of what made the artifact."""
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
