"""Verifies an artifact: files, seal, structure, and its goldens on this machine.

Knows the order of the checks. A damaged artifact is not run. Needs neither torch nor the checkpoint; to hold the graphs
against the checkpoint again, the export part registers itself under `thinkport.certifiers`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from thinkport.deploy.kernels.graph_file import read_graph
from thinkport.deploy.verification.check import WRONG, Check, Verification, checked
from thinkport.deploy.verification.golden_trial import GoldenTrial
from thinkport.runtime.artifact.certificate import MIN_AGREEMENT, Certificate, Figure, VectorFigure
from thinkport.runtime.artifact.goldens import read_goldens, read_own_goldens
from thinkport.runtime.artifact.manifest import Graph, Manifest, check_files, read_manifest
from thinkport.runtime.artifact.manifest_seal import check_seal
from thinkport.runtime.artifact.verdict import (
    is_damaged,
    vector_words,
    verdict_line,
    verdict_of_graph,
    verdicts_as_json,
)
from thinkport.runtime.errors import ArtifactError, InputError, ThinkportError
from thinkport.runtime.extras import require
from thinkport.runtime.hub.minisign import PublicKey
from thinkport.runtime.hub.signed_manifest import check_signed
from thinkport.runtime.providers.graph_check import Goldens
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import AUTO, candidates, extra_of, import_onnxruntime, load_libraries
from thinkport.runtime.providers.plugins import Plugins

CERTIFIERS = "thinkport.certifiers"
_SAME = 0.1  # of a mean KL divergence: another machine's kernels round otherwise
_LEAST = 0.01  # nats; a smaller divergence is compared as if it were this much


class Certify(Protocol):
    """Measures a certificate again; `told` hears first whether transformers reads the checkpoint alike."""

    def __call__(
        self, folder: Path, checkpoint: str, adapter: Path | None, *, told: Callable[[bool | None, str], object]
    ) -> Certificate:
        """The certificate of `folder`'s graphs against a checkpoint with an adapter merged."""


def verify(
    folder: Path,
    *,
    provider: str = AUTO,
    checkpoint: str | None = None,
    adapter: Path | None = None,
    full: bool = False,
    threads: int | None = None,
    signed_by: str | None = None,
    kernels: str = AUTO,
) -> Verification:
    """Hold an artifact against its manifest, and its graphs against its goldens.

    `full` hashes every file and runs every graph that the installed ONNX Runtime can run, on the prompts that it
    answered at export. Otherwise sizes are compared, and a few short prompts run on the graph that would be chosen.
    `kernels` are what `Model.load` takes.
    With a `checkpoint` (a folder or a Hub id), and the `adapter` that was merged into it, the certificate is measured
    again. `signed_by` is a public key of minisign, or its file: the manifest must be signed with it.

    Raises:
        InputError: an adapter without a checkpoint, or a `provider` that is not in the artifact; one that is not
            installed fails the check of the goldens. Kernels that can't be had here.
        MissingExtraError: no ONNX Runtime is installed, or with a checkpoint no thinkport[export].
    """
    if adapter is not None and checkpoint is None:
        raise InputError("--adapter names what was merged into a checkpoint: give --checkpoint too")
    checks, certificate = list(_files(folder, full=full)), None
    if signed_by is not None:
        key = PublicKey.parse(signed_by)
        require("sign", "cryptography")
        checks.insert(1, checked("signature", lambda: f"of this key: {check_signed(folder, key)}"))
    if all(check.passed for check in checks):
        manifest = read_manifest(folder)
        checks += _structure(folder, manifest)
        if all(check.passed for check in checks):
            checks += _goldens(folder, manifest, provider, threads, Kernels.here(kernels), full=full)
            if checkpoint is not None:
                checks += _certificate(folder, manifest, checkpoint, adapter)
            certificate = manifest.certificate
    return Verification(
        folder=str(folder), checks=checks, verdict=verdicts_as_json(certificate) if certificate else None
    )


def _files(folder: Path, *, full: bool) -> Iterator[Check]:
    name = "manifest"
    try:
        manifest = read_manifest(folder)
        sealed = "as it was written" if check_seal(folder) else "read; written without a seal"
        yield Check(name=name, passed=True, detail=sealed)
        name = "files"
        check_files(folder, manifest, verify=full, blocks=True)
        how = "sha256" if full else "size"
        hashed = [file for file, record in manifest.files.items() if record.blocks is not None]
        beside = "" if full or not hashed else f", {' and '.join(hashed)} of the recorded hash in every block"
        yield Check(name=name, passed=True, detail=f"{len(manifest.files)} files of the recorded {how}{beside}")
    except ThinkportError as error:
        yield Check(name=name, passed=False, detail=str(error))


def _structure(folder: Path, manifest: Manifest) -> Iterator[Check]:
    """One check for each graph, and one for the goldens."""
    for graph in manifest.graphs:
        for one in (graph, *([graph.native.graph] if graph.native else [])):
            yield checked(f"structure of {one.file}", partial(_graph_structure, folder, one))
    if manifest.certificate is not None:
        path = folder / manifest.certificate.goldens
        yield checked(f"structure of {path.name}", partial(_goldens_structure, path, manifest))


def _graph_structure(folder: Path, graph: Graph) -> str:
    found = read_graph(folder / graph.file)
    expected = {spec.name for spec in graph.inputs}
    if found.inputs - set(found.sizes) != expected - set(found.sizes) or len(found.nodes) != graph.nodes:
        raise ArtifactError(
            f"{len(found.nodes)} nodes and inputs that the manifest doesn't list, expected {graph.nodes} nodes: "
            "export the artifact again"
        )
    return f"{graph.nodes:,} nodes, inputs as the manifest lists them"


def _goldens_structure(path: Path, manifest: Manifest) -> str:
    goldens = read_goldens(path)
    largest = max(max(int(golden.ids.max()), int(golden.top_ids.max(initial=0))) for golden in goldens)
    if largest >= manifest.model.vocab_size:
        raise ArtifactError(
            f"an id {largest} and a vocabulary of {manifest.model.vocab_size}: export the artifact again"
        )
    figures = manifest.certificate.by_graph if manifest.certificate else {}
    asked = {name for figure in figures.values() for name in figure.prompts or ()}
    unknown = asked - {golden.name for golden in goldens}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ArtifactError(f"no {names}, which the certificate speaks of: export the artifact again")
    empty = [figure.graph for figure in figures.values() if figure.prompts == []]
    graphs = {graph.file for graph in manifest.graphs}
    if empty or (figures and graphs - figures.keys()):
        names = ", ".join([*empty, *sorted(graphs - figures.keys())])
        raise ArtifactError(f"the certificate has no prompts or no figure of {names}: export the artifact again")
    read_own_goldens(path)
    return f"{len(goldens)} prompts, {sum(len(golden.rows) for golden in goldens)} positions"


def _goldens(
    folder: Path, manifest: Manifest, provider: str, threads: int | None, kernels: Kernels, *, full: bool
) -> Iterator[Check]:
    if manifest.certificate is None:
        yield Check(name="goldens", passed=True, detail="none: exported with --no-certificate, nothing to compare with")
        return
    yield _verdict(manifest.certificate)
    goldens = read_goldens(folder / manifest.certificate.goldens)
    ort = import_onnxruntime(extra_of(manifest.graphs, provider))
    missing = load_libraries(ort)
    brought = Plugins(ort), kernels
    available = ort.get_available_providers()
    found = [one.started for one in candidates(manifest.graphs, provider, available, ort.__version__, *brought)]
    runnable = [one for one in found if not one.obstacle]
    for one in found:
        if one.obstacle and full:
            detail = f"not run here: it {one.obstacle}"
            yield Check(name=f"goldens on {one.graph.file}", passed=True, detail=detail, skipped=True)
    if not runnable:
        why = "; ".join(f"{one.graph.file} {one.obstacle}" for one in found)
        yield Check(name="goldens", passed=False, detail=f"no graph runs here: {why}", exit_code=WRONG)
    whole = Goldens.of(folder / manifest.certificate.goldens)
    trial = GoldenTrial(ort, folder, manifest, threads, missing)
    for candidate in runnable if full else runnable[:1]:
        yield trial.of_graph(candidate, goldens, full=full)
        yield trial.of_own(candidate, whole)


def _verdict(certificate: Certificate) -> Check:
    """The export's verdict, which no machine changes. A damaged artifact is whole, but its verdict is shown in red."""
    detail = verdict_line(certificate)
    if certificate.warning:
        detail += f". {certificate.warning}"
    return Check(name="verdict at export", passed=True, detail=detail, alarming=is_damaged(certificate))


def _certificate(folder: Path, manifest: Manifest, checkpoint: str, adapter: Path | None) -> Iterator[Check]:
    """The certificate, measured again from the checkpoint."""
    require("export", "torch", "transformers", "onnx_ir")
    certify: Certify = next(iter(entry_points(group=CERTIFIERS))).load()
    readings: list[Check] = []

    def told(passed: bool | None, detail: str) -> None:
        name = "checkpoint by transformers"
        readings.append(
            Check(name=name, passed=passed is not False, detail=detail, exit_code=WRONG, skipped=passed is None)
        )

    found = certify(folder, checkpoint, adapter, told=told)
    yield from readings
    recorded = {figure.graph: figure for figure in manifest.certificate.figures} if manifest.certificate else {}
    for figure in found.figures:
        yield _compared(figure, recorded.get(figure.graph))
    vectors = {figure.graph: figure for figure in (manifest.certificate and manifest.certificate.vectors) or ()}
    for one in found.vectors or ():
        yield _compared_vectors(one, vectors.get(one.graph))


def _compared_vectors(figure: VectorFigure, recorded: VectorFigure | None) -> Check:
    lost = 1 - figure.cosine_mean
    detail, passed = vector_words(figure), figure.cosine_mean >= MIN_AGREEMENT
    if recorded is not None:
        detail += f" ({recorded.cosine_mean:.4f} at export)"
        passed = abs(figure.cosine_mean - recorded.cosine_mean) <= _SAME * max(lost, _LEAST)
    elif not passed:
        detail += f", expected at least {MIN_AGREEMENT:g} without figures from the export: another checkpoint, or wrong"
    shown = {"cosine_mean": figure.cosine_mean, "cosine_min": figure.cosine_min}
    name = f"{figure.graph} against the checkpoint"
    return Check(name=name, passed=passed, detail=detail, exit_code=WRONG, figures=shown)


def _compared(figure: Figure, recorded: Figure | None) -> Check:
    verdict = verdict_of_graph(figure)
    detail = f"{verdict}: mean KL divergence {figure.kl_mean:.3g} nats, logits correlate {figure.correlation:.3f}"
    passed = figure.correlation >= MIN_AGREEMENT
    if recorded is not None and recorded.by_kind is None:  # of before, over fewer texts: the goldens are the same
        detail += f" ({recorded.score.kl:.3g} nats and {recorded.score.correlation:.3f} on the goldens at export, "
        detail += f"{figure.score.kl:.3g} and {figure.score.correlation:.3f} now)"
        passed = abs(figure.score.kl - recorded.score.kl) <= _SAME * max(recorded.score.kl, _LEAST)
    elif recorded is not None:
        detail += f" ({recorded.kl_mean:.3g} and {recorded.correlation:.3f} at export)"
        passed = abs(figure.kl_mean - recorded.kl_mean) <= _SAME * max(recorded.kl_mean, _LEAST)
    elif not passed:
        detail += f", expected at least {MIN_AGREEMENT:g} without figures from the export: another checkpoint, or wrong"
    shown = {"kl_mean": figure.kl_mean, "kl_p95": figure.kl_p95, "correlation": figure.correlation}
    return Check(
        name=f"{figure.graph} against the checkpoint",
        passed=passed,
        detail=detail,
        exit_code=WRONG,
        figures=shown,
        alarming=verdict.damaged,
    )
