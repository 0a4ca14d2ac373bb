"""The whole way from a checkpoint to an artifact, one call an arrow.

Knows the order of the stages. What a stage does lies in its own module.
"""

import os
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from thinkport.deploy.genai_files import genai_graph_name
from thinkport.deploy.kernels import check
from thinkport.export.calibrate import Calibration, LayerInputs, calibrate, calibrated_bytes, sensitivities
from thinkport.export.certify import certify
from thinkport.export.checkpoint import Checkpoint, Progress, open_checkpoint
from thinkport.export.checkpoint import tokenizer_files as files
from thinkport.export.checkpoint.checkpoint import as_expected
from thinkport.export.checkpoint.quantized import plain_config
from thinkport.export.checkpoint.rotated import rotated
from thinkport.export.errors import GraphError
from thinkport.export.families import DecoderShape, Family, family_of, inv_freq_and_scaling, shape_of
from thinkport.export.finer_recipe import advised
from thinkport.export.kept_recipe import chosen_recipe, told
from thinkport.export.pipeline import MadeGraph, Pipeline
from thinkport.export.plans import DTYPES, GraphPlan, fitted_plans, plan_graphs, suited
from thinkport.export.preflight import check_export, check_room, search_records
from thinkport.export.progress import Advance, Listener, Stages, peak_memory
from thinkport.export.quantize.kv_scales import KvScales, shared
from thinkport.export.quantize.recipes import EXPERTS, ModelRecipe, Role, RoleRecipe
from thinkport.export.quantize.rotation import block_of
from thinkport.export.reference.streamed_weights import streamed_bytes
from thinkport.export.settings import ExportSettings
from thinkport.export.sizes import finer_roles
from thinkport.export.trace.trace import trace
from thinkport.export.write.artifact import finish_artifact
from thinkport.export.write.blobs import Layout, plan_blobs
from thinkport.export.write.claim import claimed
from thinkport.export.write.graph_file import write_graph, write_one_row_graph
from thinkport.export.write.records import graph_record, model_record, recipe_record, source_record, tool_versions
from thinkport.export.write.staging import check_target, check_writable, clear_leftovers, staged
from thinkport.export.write.weights_file import WeightsFile
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.manifest import (
    SCHEMA_VERSION,
    FileRecord,
    Graph,
    Manifest,
    ModelShape,
    Native,
    Recipe,
)
from thinkport.runtime.machine.threads import physical_cores
from thinkport.runtime.providers.kernels import OPERATORS

WEIGHTS = "weights.bin"


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export did: the artifact's folder and manifest, seconds by stage, peak resident bytes of the process.

    `stops` are the tokens that end a reply, with what named them. `left_out` are targets that can't run the model, of
    an export that asked for none. `thinking` says whether replies can think. `notes` say what the checkpoint's files
    disagree in, and what was decided.
    """

    folder: Path
    manifest: Manifest
    seconds: Mapping[str, float]
    peak_memory: int
    stops: Sequence[files.StopToken]
    left_out: Sequence[str] = ()
    thinking: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _ExportJob:
    """What the stages share: what was asked for, the checkpoint that was opened for it, and the recipe that it gets."""

    settings: ExportSettings
    recipe: ModelRecipe | None
    plans: list[GraphPlan]
    checkpoint: Checkpoint
    family: Family
    shape: DecoderShape
    model: ModelShape
    stops: list[files.StopToken]
    stages: Stages


def export(settings: ExportSettings, listener: Listener | None = None) -> ExportReport:
    """Export a checkpoint.

    Nothing is left behind when it fails; an artifact at the output path stays what it was until the new one is whole.

    Raises:
        ThinkportError: a checkpoint, recipe, graph or output path that can't be used; see `thinkport.export.errors`.
    """
    with claimed(settings.output):
        return _export(settings, listener)


def _export(settings: ExportSettings, listener: Listener | None) -> ExportReport:
    clear_leftovers(settings.output)
    check_target(settings.output, force=settings.force)
    check_writable(settings.output)
    stages = Stages(listener or Listener())
    with stages.stage("open"):
        job = _open(settings, stages)
    with stages.stage("trace"):
        traced = trace(job.family, plain_config(job.checkpoint.config), job.shape)
    weights = _rotated(job)
    calibration = _calibration(job, weights)
    plans, scales, weights = _calibrated(job, weights, calibration)
    role = _roles(job, weights)
    with stages.stage("fuse"):
        pipeline = Pipeline(
            family=job.family,
            shape=job.shape,
            recipe=job.recipe,
            role=role,
            kv_scales=scales,
            rotation=None if weights.rotation is None else weights.rotation.block,
        )
        graphs = pipeline.graphs(traced, plans)
    layout = _layout(job, graphs)
    with staged(settings.output, force=settings.force) as folder:
        with stages.stage("weights", layout.nbytes) as advance:
            file = _weights_file(job, weights, layout, folder / WEIGHTS, advance)
            weights_record, recipe = file.write(), _recipe_record(job, file, graphs, role)
        with stages.stage("graph"):
            records = _write_graphs(job, weights, graphs, layout, folder)
        certificate = _certified(job, records, folder)
        with stages.stage("manifest"):
            manifest = _finished(job, folder, records, graphs, recipe, certificate, weights_record)
    return ExportReport(
        folder=settings.output,
        manifest=manifest,
        seconds=stages.seconds,
        peak_memory=peak_memory(),
        stops=job.stops,
        thinking=files.thinking_modes(job.checkpoint, job.family.thinking_tokens),
        notes=[
            *job.checkpoint.notes,
            *files.unknown_tokens(job.checkpoint, job.shape.vocab_size),
            *job.family.remarks(job.checkpoint.config, job.checkpoint.generation_config),
        ],
        left_out=[entry.name for entry in settings.entries if entry not in job.settings.entries],
    )


def _open(settings: ExportSettings, stages: Stages) -> _ExportJob:
    checkpoint = open_checkpoint(
        settings.checkpoint,
        adapter=settings.adapter,
        task=settings.asked_task,
        check=partial(check_export, settings),
        progress=_fetching(stages.listener),
    )
    with as_expected(settings.checkpoint):
        family = family_of(checkpoint.config)
        shape = shape_of(checkpoint)
        family.check_weights(checkpoint.tensors, shape)
    settings = suited(settings, shape)
    recipe = chosen_recipe(settings, checkpoint, family, shape)
    if checkpoint.quantized:
        check_room(settings, family, shape, recipe)
    return _ExportJob(
        settings=settings,
        recipe=recipe,
        plans=plan_graphs(settings, recipe, experts=shape.mixture is not None),
        checkpoint=checkpoint,
        family=family,
        shape=shape,
        model=model_record(family.model_type, shape),
        stops=files.stop_tokens(checkpoint),
        stages=stages,
    )


def _rotated(job: _ExportJob) -> Checkpoint:
    """What is quantized: the checkpoint, its hidden states turned where the recipe wants it."""
    if job.recipe is None or not job.recipe.rotate:
        return job.checkpoint
    return rotated(job.checkpoint, job.family.branches(job.shape), block_of(job.shape.hidden_size))


def _calibration(job: _ExportJob, weights: Checkpoint) -> Calibration | None:
    """What the checkpoint computes over a short text; float32 holds anything, and needs no such stage."""
    if all((plan.kv.dtype, plan.activations) == ("float32", "float32") for plan in job.plans):
        return None
    with job.stages.stage("calibrate", calibrated_bytes(job.checkpoint, job.shape)) as advance:
        return calibrate(weights, job.family, job.shape, advance=advance)


def _calibrated(
    job: _ExportJob, weights: Checkpoint, calibration: Calibration | None
) -> tuple[list[GraphPlan], KvScales | None, Checkpoint]:
    """Plans that hold what the model computes, the scales of an int8 cache, and weights that suit them."""
    if calibration is None:
        return job.plans, None, weights
    plans = fitted_plans(job.plans, calibration.loudness)
    if all(plan.kv.dtype != "int8" for plan in plans):
        return plans, None, weights
    # Channels share a scale, for which keys are made alike: what keys lose, queries gain.
    scales, divisors = shared(calibration.kv_scales, by_head=not job.shape.head_norms)
    by_layer = (job.family.key_divisors(layer, divisor, job.shape) for layer, divisor in enumerate(divisors))
    rows_by = dict(ChainMap(*by_layer))
    if any(_is_kept(job, name) for name in rows_by):  # integers stay as they are: each channel has its own scale
        return plans, calibration.kv_scales, weights
    return plans, scales, weights.divided(rows_by)


def _is_kept(job: _ExportJob, name: str) -> bool:
    how = job.recipe.for_role(job.family.role(name), tied=job.shape.tied) if job.recipe is not None else None
    return how is not None and how.kept


def _roles(job: _ExportJob, weights: Checkpoint) -> Callable[[str], Role]:
    """What each weight is for; those that the recipe gives a finer format have roles of their own."""
    recipe, family, shape = job.recipe, job.family, job.shape
    if recipe is None or recipe.finer is None:
        return family.role

    def how(name: str) -> RoleRecipe | None:
        # All experts of a layer lie in one stack, which has one format: none is given more than the others.
        role = family.role(name)
        return None if role == EXPERTS else recipe.for_role(role, tied=shape.tied)

    with job.stages.stage("weigh", calibrated_bytes(job.checkpoint, shape)) as advance:
        losses = sensitivities(weights, family, shape, how, advance=advance)
    finer = finer_roles(family, shape, recipe, job.plans, losses)
    return lambda name: finer.get(name) or family.role(name)


def _fetching(listener: Listener) -> Callable[[Progress], None]:
    """Tells a listener of a download, whose bytes are counted from the start and whose size grows."""
    seen = 0

    def report(progress: Progress) -> None:
        nonlocal seen
        listener.resize(progress.total)
        listener.advance(progress.done - seen)
        seen = progress.done

    return report


def _layout(job: _ExportJob, graphs: Sequence[MadeGraph]) -> Layout:
    """Where weights lie in `weights.bin`."""
    sizes = job.family.expected_tensors(job.shape)
    return plan_blobs([made.model.graph for made in graphs], lambda name: sizes[name][0])


def _weights_file(job: _ExportJob, source: Checkpoint, layout: Layout, path: Path, advance: Advance) -> WeightsFile:
    recipe = job.recipe
    compensate = recipe is not None and recipe.compensate
    return WeightsFile(
        path=path,
        layout=layout,
        checkpoint=source,
        recipe=recipe,
        inputs=LayerInputs(source, job.family, job.shape) if compensate else None,
        workers=job.settings.workers or physical_cores() or os.cpu_count() or 1,
        advance=advance,
    )


def _recipe_record(
    job: _ExportJob, file: WeightsFile, graphs: Sequence[MadeGraph], role: Callable[[str], Role]
) -> Recipe:
    """How the weights in a file that was written are stored.

    Bits a weight are those of the graph that computes in the widest type. They are counted before graphs are written:
    a written graph no longer knows where its weights are from.
    """
    widest = max(graphs, key=lambda made: DTYPES[made.plan.activations].itemsize).model.graph
    notes = told(job.settings, job.recipe, job.checkpoint, job.family, job.shape)
    if file.checkpoint.rotation is not None:
        notes = [*notes, file.checkpoint.rotation.note]
    how, tied = (job.recipe, role, file.errors), job.shape.tied
    return recipe_record(widest, *how, tied=tied, notes=notes, plainly=file.unheard)


def _write_graphs(
    job: _ExportJob, source: Checkpoint, graphs: Sequence[MadeGraph], layout: Layout, folder: Path
) -> list[Graph]:
    """Write the graphs and the tokenizer's files; returns the graphs' records, native ones within their parents'."""
    frequencies = {job.family.frequencies_name: inv_freq_and_scaling(job.shape)[0]}
    records = {made.plan.file: graph_record(made.model, made.plan) for made in graphs}
    for made in graphs:
        file = folder / made.plan.file
        write_graph(made.model, file, layout, WEIGHTS, source.read, frequencies)
        if made.plan.native_of is not None:
            native = Native(graph=records.pop(made.plan.file), operators=OPERATORS)
            records[made.plan.native_of] = records[made.plan.native_of].model_copy(update={"native": native})
        elif job.shape.head:  # another runtime would sample from hidden states
            write_one_row_graph(made.model, folder / genai_graph_name(made.plan.file))
    for record in records.values():
        _check_kernels(folder, record)
    files.copy_tokenizer_files(job.checkpoint, folder)
    return list(records.values())


def _check_kernels(folder: Path, graph: Graph) -> None:
    """Refuse a graph of which a node would leave its provider, in the oldest ONNX Runtime that the graph is for.

    A graph as traced is a yardstick, which runs where ONNX Runtime puts it.

    Raises:
        GraphError: a node has no kernel there, or breaks one's requirements; each is named.
    """
    if not graph.fused:
        return
    problems = check(folder / graph.file, graph.target, version=graph.onnxruntime_floor).problems
    if problems:
        raise GraphError(
            f"{graph.file} does not run whole on {graph.providers[0]} of ONNX Runtime {graph.onnxruntime_floor}: "
            f"{'; '.join(problems)}. Report it with the checkpoint's name"
        )


def _certified(job: _ExportJob, records: list[Graph], folder: Path) -> Certificate | None:
    """How the graphs agree with the checkpoint, with advice where they hardly do; None where nobody asked."""
    if not job.settings.certificate:
        return None
    with job.stages.stage("certify", streamed_bytes(job.checkpoint, job.shape.table)) as advance:
        certificate = certify(
            folder,
            records,
            job.model,
            job.checkpoint,
            job.shape,
            min_agreement=job.settings.min_agreement,
            advance=advance,
        )
    return advised(certificate, job.settings, job.family, job.shape, job.recipe)


def _finished(
    job: _ExportJob,
    folder: Path,
    records: list[Graph],
    graphs: Sequence[MadeGraph],
    recipe: Recipe,
    certificate: Certificate | None,
    weights: FileRecord,
) -> Manifest:
    """The manifest with every file, written last."""
    checkpoint, family = job.checkpoint, job.family
    embedding, reranking = search_records(checkpoint, family, job.shape)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,  # type: ignore[arg-type]  # the number that the schema names
        name="-".join(filter(None, (checkpoint.id.rpartition("/")[2], checkpoint.adapter, recipe.name))),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tools=tool_versions(),
        source=source_record(checkpoint),
        model=job.model,
        recipe=recipe,
        passes=graphs[0].passes,
        graphs=records,
        tokenizer=files.TOKENIZER,
        chat_template=files.CHAT_TEMPLATE,
        special_tokens=files.special_tokens(checkpoint),
        thinking=files.thinking_ids(checkpoint, family.thinking_tokens),
        enable_thinking=job.settings.enable_thinking,
        stop_ids=[stop.id for stop in job.stops],
        sampling=family.presets(checkpoint.generation_config),
        certificate=certificate,
        embedding=embedding,
        reranking=reranking,
        files={},  # filled in when they are all written
    )
    return finish_artifact(folder, manifest, checkpoint, family.genai_type, {WEIGHTS: weights})
