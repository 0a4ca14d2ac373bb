"""Runs graphs of an artifact on this machine over its goldens, and compares their scores with the recorded ones.

Knows sessions and scores. Must not know which graphs are to be tried.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType

from thinkport.deploy.verification.certificate_check import contradiction
from thinkport.deploy.verification.check import WRONG, Check
from thinkport.runtime.artifact.certificate import Figure, GoldenScore, VectorFigure
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import ThinkportError
from thinkport.runtime.providers.golden_check import answered, check_goldens, quick
from thinkport.runtime.providers.graph_check import Goldens, check_graph, check_unrounded, pieces
from thinkport.runtime.providers.ort import Candidate
from thinkport.runtime.providers.unrounded import open_unrounded


class GoldenTrial:
    """Trials of one artifact's graphs; `missing` names the libraries that ONNX Runtime did not find, in words."""

    def __init__(self, ort: ModuleType, folder: Path, manifest: Manifest, threads: int | None, missing: str) -> None:
        self._ort, self._folder, self._manifest, self._threads = ort, folder, manifest, threads
        self._missing = missing
        figures = manifest.certificate.by_graph if manifest.certificate else {}
        natives = {one.native.graph.file: one.file for one in manifest.graphs if one.native}
        # A native graph that the exporter could not run gives what its parent gives.
        self._figures = {native: figures[of] for native, of in natives.items() if of in figures} | figures

    def of_graph(self, candidate: Candidate, goldens: Sequence[Golden], *, full: bool) -> Check:
        """A graph over a few short prompts, or with `full` over those that it answered at export."""
        figure = self._figures.get(candidate.graph.file)
        asked = answered(goldens, figure) if full else quick(goldens)
        return self._tried(candidate, asked, _recorded(figure, full=full), full=full)

    def of_own(self, candidate: Candidate, goldens: Goldens) -> Check:
        """A graph against what it gave itself at export, as a first load holds it, but over all tokens."""
        graph, name = candidate.graph, f"own logits of {candidate.graph.file}"
        if graph.file not in goldens.own:
            detail = "none: an older thinkport exported the artifact; errors of a few percent are not seen"
            return Check(name=name, passed=True, detail=detail, skipped=True)
        try:
            unrounded = None
            if candidate.kernels is None:  # which always round to int8
                unrounded = check_unrounded(
                    lambda: open_unrounded(self._ort, self._folder, candidate, self._manifest.model, self._threads),
                    graph,
                    goldens,
                    brief=len(graph.providers) == 1,
                )
            with closing(self._opened(candidate)) as session:
                result = check_graph(session, graph, goldens, None, unrounded=unrounded)
        except ThinkportError as error:
            return Check(name=name, passed=False, detail=str(error), exit_code=WRONG)
        said = result.fault or "; ".join(filter(None, (result.agreement, pieces(result.widest, result.narrowed))))
        return Check(name=name, passed=result.fault is None, detail=said, exit_code=WRONG)

    def _tried(
        self, candidate: Candidate, asked: Sequence[Golden], recorded: GoldenScore | None, *, full: bool
    ) -> Check:
        graph = candidate.graph
        name = f"goldens on {graph.file}"
        try:
            with closing(self._opened(candidate)) as session:
                result = check_goldens(session, asked, recorded)
        except ThinkportError as error:
            detail = f"{error} ({self._missing})" if self._missing else str(error)
            return Check(name=name, passed=False, detail=detail, exit_code=WRONG)
        score = result.score
        fault = result.fault
        figure = self._figures.get(graph.file)
        if full and fault is None and recorded is not None and figure is not None:
            told = contradiction(score, recorded, figure)
            fault = told and f"{told}: it is not of this graph; fetch or export the artifact again"
        detail = fault or (
            f"logits correlate {score.correlation:.3f} over {score.rows} positions"
            + (f" ({recorded.correlation:.3f} at export)" if recorded else "")
        )
        shown = {"correlation": score.correlation, "kl": score.kl, "top1": score.top1, "seconds": result.seconds}
        return Check(name=name, passed=fault is None, detail=detail, exit_code=WRONG, figures=shown)

    def _opened(self, candidate: Candidate) -> Session:
        given = (self._ort, self._folder, candidate.graph, self._manifest.model, self._threads)
        return Session(*given, lambda: None, *candidate.place)


def _recorded(figure: Figure | VectorFigure | None, *, full: bool) -> GoldenScore | None:
    if figure is None:
        return None
    return figure.score if full else figure.quick_score
