"""The whole way from a checkpoint to an artifact, one call an arrow.

Knows the order of the stages. What a stage does lies in its own module.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from thinkport.deploy.genai_files import genai_graph_name
from thinkport.export.calibrate import Calibration, LayerInputs, calibrate, calibrated_bytes
from thinkport.export.certify import certify
from thinkport.export.checkpoint import Checkpoint, Progress, open_checkpoint
from thinkport.export.checkpoint import tokenizer_files as files
from thinkport.export.checkpoint.equalized import divided, equalized, reader_bytes
from thinkport.export.checkpoint.licence import licence_id
from thinkport.export.checkpoint.stop_tokens import StopToken, stop_tokens
from thinkport.export.families import DecoderShape, Family, family_of, inv_freq_and_scaling
from thinkport.export.finer_recipe import divergence_warning
from thinkport.export.graph_kernels import check_kernels
from thinkport.export.graphs import MadeGraph, make_graphs
from thinkport.export.plans import GraphPlan, fitted, plan_graphs
from thinkport.export.preflight import check_export
from thinkport.export.progress import Advance, Listener, Silent, Stages, peak_memory
from thinkport.export.quantize.kv_scales import KvScales, shared
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.reference.streamed_weights import streamed_bytes
from thinkport.export.settings import ExportSettings
from thinkport.export.trace.names import OPSET
from thinkport.export.trace.trace import trace
from thinkport.export.weight_sizes import ITEM_BYTES
from thinkport.export.write.artifact import finish_artifact
from thinkport.export.write.blobs import Layout, plan_blobs
from thinkport.export.write.derivation import derivation
from thinkport.export.write.genai_graph import write_one_row_graph
from thinkport.export.write.graph_file import write_graph
from thinkport.export.write.manifest_record import manifest_record
from thinkport.export.write.records import graph_record, model_record, recipe_record
from thinkport.export.write.staging import check_target, check_writable, clear_leftovers, staged
from thinkport.export.write.weights_file import WeightsFile
from thinkport.runtime.artifact.manifest import Manifest, Prefill
from thinkport.runtime.machine.threads import physical_cores

WEIGHTS = "weights.bin"
DERIVED_WEIGHTS = "prefill.bin"  # in no artifact


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export did: the artifact's folder and manifest, seconds by stage, peak resident bytes of the process.

    `stops` are the tokens that end a reply, with what named them.
    """

    folder: Path
    manifest: Manifest
    seconds: Mapping[str, float]
    peak_memory: int
    stops: Sequence[StopToken]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What the stages share."""

    settings: ExportSettings
    plans: list[GraphPlan]
    checkpoint: Checkpoint
    family: Family
    shape: DecoderShape
    stops: list[StopToken]
    stages: Stages


def export(settings: ExportSettings, listener: Listener | None = None) -> ExportReport:
    """Export a checkpoint.

    Nothing is left behind when it fails; an artifact at the output path stays what it was until the new one is whole.

    Raises:
        ThinkportError: a checkpoint, recipe, graph or output path that can't be used; see `thinkport.export.errors`.
    """
    clear_leftovers(settings.output)
    check_target(settings.output, force=settings.force)
    check_writable(settings.output)
    stages = Stages(listener or Silent())
    with stages.stage("open"):
        job = _open(settings, stages)
    with stages.stage("trace"):
        traced = trace(job.family, job.checkpoint.config, job.shape)
    weights = _equalized(job)
    calibration = _calibrated(job, weights)
    plans, scales = job.plans, None
    if calibration is not None:
        plans = [fitted(plan, calibration.largest_activation) for plan in plans]
        if any(plan.kv.dtype == "int8" for plan in plans):
            scales, weights = _shared_scales(job, weights, calibration)
    with stages.stage("fuse"):
        graphs = make_graphs(traced, plans, job.family, job.shape, settings.quantization, scales)
    sizes = job.family.expected_tensors(job.shape)
    layout = plan_blobs([graph.model.graph for graph in graphs], lambda name: sizes[name][0])
    with staged(settings.output, force=settings.force) as folder:
        manifest = _write(job, weights, graphs, layout, folder)
    return ExportReport(
        folder=settings.output,
        manifest=manifest,
        seconds=stages.seconds,
        peak_memory=peak_memory(),
        stops=job.stops,
    )


def _open(settings: ExportSettings, stages: Stages) -> _Job:
    checkpoint = open_checkpoint(
        settings.checkpoint, check=partial(check_export, settings), progress=_fetching(stages.listener)
    )
    family = family_of(checkpoint.config)
    shape = family.shape(checkpoint.config)
    family.check_weights(checkpoint.tensors, shape)
    return _Job(
        settings=settings,
        plans=plan_graphs(settings),
        checkpoint=checkpoint,
        family=family,
        shape=shape,
        stops=stop_tokens(checkpoint),
        stages=stages,
    )


def _equalized(job: _Job) -> Checkpoint:
    """What is quantized: the checkpoint, its channels scaled where the recipe wants it."""
    recipe = job.settings.quantization
    if recipe is None or not recipe.equalize:
        return job.checkpoint

    def group_size(name: str) -> int:
        how = recipe.for_role(job.family.role(name), tied=job.shape.tied)
        assert how is not None
        return how.group_size

    sites = job.family.sites(job.shape)
    with job.stages.stage("equalize", reader_bytes(job.checkpoint, sites)) as advance:
        return equalized(job.checkpoint, sites, group_size, advance=advance)


def _calibrated(job: _Job, weights: Checkpoint) -> Calibration | None:
    """What a narrow cache or narrow activations have to hold; float32 holds anything, and needs no such stage."""
    if all((plan.kv.dtype, plan.activations) == ("float32", "float32") for plan in job.plans):
        return None
    with job.stages.stage("calibrate", calibrated_bytes(job.checkpoint, job.shape)) as advance:
        return calibrate(weights, job.family, job.shape, advance=advance)


def _shared_scales(job: _Job, weights: Checkpoint, calibration: Calibration) -> tuple[KvScales, Checkpoint]:
    """Scales that channels share, and weights whose keys are alike for it: what keys lose, queries gain."""
    scales, divisors = shared(calibration.kv_scales)
    rows_by: dict[str, np.ndarray] = {}
    for layer, divisor in enumerate(divisors):
        rows_by |= job.family.key_divisors(layer, divisor, job.shape)
    return scales, divided(weights, rows_by)


def _fetching(listener: Listener) -> Callable[[Progress], None]:
    """Tells a listener of a download, whose bytes are counted from the start and whose size grows."""
    seen = 0

    def report(progress: Progress) -> None:
        nonlocal seen
        listener.resize(progress.total)
        listener.advance(progress.done - seen)
        seen = progress.done

    return report


def _write(job: _Job, source: Checkpoint, graphs: list[MadeGraph], layout: Layout, folder: Path) -> Manifest:
    """Fill the staging folder: weights, graphs, certificate, and the manifest last."""
    prefills = {made.plan.accelerates: _prefill(job, made, layout) for made in graphs if made.plan.accelerates}
    records = [
        graph_record(made.model, made.plan).model_copy(update={"prefill": prefills.get(made.plan.file)})
        for made in graphs
        if made.plan.accelerates is None
    ]
    shape = model_record(job.family.model_type, job.shape)
    with job.stages.stage("weights", layout.nbytes) as advance:
        weights = _weights_file(job, source, layout, folder / WEIGHTS, advance)
        weights_record = weights.write()
    first, widest = graphs[0], max(graphs, key=lambda made: ITEM_BYTES[made.plan.activations])
    recipe = recipe_record(
        widest.model.graph, job.settings.quantization, job.family.role, weights.errors, tied=job.shape.tied
    )
    with job.stages.stage("graph"):
        frequencies = {job.family.frequencies_name: inv_freq_and_scaling(job.shape)[0]}
        for made in graphs:
            form = made.plan.target.prefill if made.plan.accelerates else None
            where = (layout, WEIGHTS) if form is None else (_derived_layout(job, made), DERIVED_WEIGHTS)
            opset = OPSET if form is None else form.opset
            write_graph(made.model, folder / made.plan.file, *where, source.read, frequencies, opset)
            if made.plan.accelerates is None:
                write_one_row_graph(made.model, folder / genai_graph_name(made.plan.file))
        for graph in records:
            check_kernels(folder, graph)
        files.copy_tokenizer_files(job.checkpoint, folder)
    certificate = None
    if job.settings.certificate:
        with job.stages.stage("certify", streamed_bytes(job.checkpoint, job.shape)) as advance:
            certificate = certify(
                folder,
                records,
                shape,
                job.checkpoint,
                job.shape,
                min_agreement=job.settings.min_agreement,
                advance=advance,
            )
        warning = divergence_warning(certificate, job.settings, job.family, job.shape)
        certificate = certificate.model_copy(update={"warning": warning})
    with job.stages.stage("manifest"):
        manifest = manifest_record(
            job.checkpoint,
            job.family,
            graphs=records,
            model=shape,
            recipe=recipe,
            passes=first.passes,
            certificate=certificate,
            enable_thinking=job.settings.enable_thinking,
            stop_ids=[stop.id for stop in job.stops],
        )
        return finish_artifact(
            folder,
            manifest,
            pad_id=files.id_of("pad_token_id", job.checkpoint),
            bos_id=files.id_of("bos_token_id", job.checkpoint),
            license_id=licence_id(job.checkpoint.folder),
            stops=job.stops,
            known={WEIGHTS: weights_record},
        )


def _prefill(job: _Job, made: MadeGraph, layout: Layout) -> Prefill:
    """The record of a graph for long prompts."""
    form, recipe = made.plan.target.prefill, job.settings.quantization
    assert form is not None
    assert recipe is not None

    def how(role: str) -> RoleRecipe:
        stored = recipe.for_role(role, tied=job.shape.tied)
        assert stored is not None
        return stored

    return Prefill(
        graph=graph_record(made.model, made.plan),
        derivation=derivation(DERIVED_WEIGHTS, _derived_layout(job, made), WEIGHTS, layout, how),
        from_tokens=form.from_tokens,
        derive_from_tokens=form.derive_from_tokens,
    )


def _derived_layout(job: _Job, made: MadeGraph) -> Layout:
    """The layout of the one file that a prefill graph reads, made of `weights.bin` on each machine."""
    sizes = job.family.expected_tensors(job.shape)
    return plan_blobs([made.model.graph], lambda name: sizes[name][0], derived=True)


def _weights_file(job: _Job, source: Checkpoint, layout: Layout, path: Path, advance: Advance) -> WeightsFile:
    recipe = job.settings.quantization
    inputs = None
    if recipe is not None and recipe.compensate:
        inputs = LayerInputs(source, job.family, job.shape)
    return WeightsFile(
        path=path,
        layout=layout,
        checkpoint=source,
        recipe=recipe,
        inputs=inputs,
        tied=job.shape.tied,
        workers=job.settings.workers or physical_cores() or os.cpu_count() or 1,
        advance=advance,
    )
