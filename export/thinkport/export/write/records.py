"""The manifest's records: the checkpoint, the graphs and the recipe.

Knows the manifest's schema and onnx_ir values. Must not write files.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import onnx_ir as ir

from thinkport.deploy.hardware import installed_versions
from thinkport.export.checkpoint import Checkpoint
from thinkport.export.families import DecoderShape
from thinkport.export.plans import GraphPlan
from thinkport.export.quantize.recipes import ModelRecipe, Role, RoleRecipe
from thinkport.export.quantize.stream import RoundingError
from thinkport.export.trace.initializers import source_of
from thinkport.export.write.blobs import nbytes_of
from thinkport.runtime.artifact.manifest import Graph, KvLayout, ModelShape, Recipe, RoleFormat, Source, TensorSpec

_TOOLS = ("thinkport", "torch", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


def model_record(family: str, shape: DecoderShape) -> ModelShape:
    """The model's numbers."""
    same = {name: value for name, value in vars(shape).items() if name in ModelShape.model_fields}
    mixture = None if shape.mixture is None else vars(shape.mixture) | {"layers": len(shape.mixture.layers)}
    return ModelShape(
        **same | {"mixture": mixture},
        family=family,
        attention_heads=shape.heads,
        tied_embeddings=shape.tied,
        rope_theta=shape.rope.theta,
    )


def graph_record(model: ir.Model, plan: GraphPlan) -> Graph:
    """What a runtime must know of a graph file before opening it."""
    graph, target = model.graph, plan.target
    chunk = target.prefill_chunk if target.several_tokens_over_past else None
    return Graph(
        file=plan.file,
        target=target.name,
        providers=list(target.providers),
        onnxruntime_floor=plan.onnxruntime_floor,
        fused=plan.fuse,
        nodes=graph.num_nodes(),
        kv=KvLayout(
            dtype=plan.kv.dtype,
            in_place=plan.fuse and target.kv_in_place,
            token_scales=any(node.op_type == "CachedAttention" for node in graph),
        ),
        inputs=[_spec(value) for value in graph.inputs],
        outputs=[_spec(value) for value in graph.outputs],
        several_tokens_over_past=target.several_tokens_over_past,
        prefill_chunk=chunk or 1,
        proven_chunk=target.proven_chunk,
        activations=plan.activations,
        memory_pattern=target.memory_pattern,
        plain_norms=plan.plain_norms,
        graph_capture=plan.fuse and target.graph_capture,
    )


def recipe_record(
    graph: ir.Graph,
    recipe: ModelRecipe | None,
    role: Callable[[str], Role],
    errors: Mapping[str, RoundingError],
    *,
    tied: bool,
    notes: Sequence[str] = (),
    plainly: Mapping[str, int] = MappingProxyType({}),
) -> Recipe:
    """How the weights are stored, by role, counted over one graph's initializers; a shared one counts once.

    `notes` say in sentences what else was done to weights. `plainly` counts, by role, the tensors that
    a calibrated recipe rounded without calibration because it had no inputs for them.

    Scales are of the type that a graph computes in, so the bits a weight are those of this graph.
    """
    bits, weights = Counter[Role](), Counter[Role]()
    formats: dict[Role, RoleRecipe | None] = {}
    matrices = (value for value in graph.initializers.values() if value.shape is not None and len(value.shape) > 1)
    for source, value in {source_of(value): value for value in matrices}.items():
        if source is None:
            continue
        name = source.role or role(source.tensors[0])
        how = formats[name] = recipe.for_role(name, tied=tied) if recipe is not None else None
        bits[name] += 8 * nbytes_of(value)
        if source.part not in ("scales", "points"):
            weights[name] += 8 * nbytes_of(value) // (how.bits if how and source.part == "codes" else 32)
    roles = {
        name: RoleFormat(
            bits=how.bits if how else 32,
            group_size=how.group_size if how else None,
            accuracy_level=how.accuracy_level if how else None,
            weights=weights[name],
            bits_per_weight=bits[name] / weights[name],
            relative_error=errors[name].relative if name in errors else None,
            zero_points=how is not None and how.points,
            kept=how is not None and how.kept,
            rounded_plainly=plainly.get(name),
        )
        for name, how in sorted(formats.items())
    }
    return Recipe(
        name=recipe.name if recipe else "fp32",
        precision=_precision(roles),
        bits_per_weight=bits.total() / weights.total(),
        roles=roles,
        notes=list(notes),
    )


def _precision(roles: Mapping[Role, RoleFormat]) -> Literal["int4", "int8", "fp32"]:
    """The precision that most weights are stored in."""
    bits = max(roles.values(), key=lambda role: role.weights).bits
    return {4: "int4", 8: "int8"}.get(bits, "fp32")  # type: ignore[return-value]


def _spec(value: ir.Value) -> TensorSpec:
    dtype = "unknown" if value.dtype is None else str(value.dtype.numpy())
    dims = [dim if isinstance(dim, int) else str(dim) for dim in value.shape or ()]
    return TensorSpec(name=value.name or "", dtype=dtype, shape=dims)


def source_record(checkpoint: Checkpoint) -> Source:
    """Which checkpoint the artifact was made of."""
    dtypes = sorted({entry.dtype for entry in checkpoint.tensors.values()})
    return Source(id=checkpoint.id, revision=checkpoint.revision, dtype="/".join(dtypes), adapter=checkpoint.adapter)


def tool_versions() -> dict[str, str]:
    """Versions of what made the artifact."""
    return installed_versions(_TOOLS)
