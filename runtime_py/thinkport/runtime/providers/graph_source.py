"""Where a model's graph comes from: at first, again after it was let go of, and anew once trials know a faster one.

Knows the choice of a graph. Must not know what runs over it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.engine.session import LaneSource
from thinkport.runtime.errors import ArtifactError, ThinkportError
from thinkport.runtime.providers.ort import AUTO, Candidate
from thinkport.runtime.providers.provider_choice import OpenedGraph, OpenGraph, ProviderChoice
from thinkport.runtime.providers.provider_report import ProviderReport


class LoadedGraph(NamedTuple):
    """A graph's session, its file, and why it is that one."""

    session: LaneSource
    graph: str
    report: ProviderReport


class Graphs(Protocol):
    """What a model needs of a `GraphSource`."""

    def reload(self) -> LoadedGraph:
        """The graph that ran, once more."""

    def review(self, report: ProviderReport) -> ProviderReport | LoadedGraph | None:
        """What trials found since `report`."""


class GraphSource:
    """The graphs of one artifact that a `provider` names; `check_same` raises where it is another artifact by now."""

    def __init__(
        self,
        choice: ProviderChoice,
        graphs: Sequence[Graph],
        provider: str,
        open_graph: OpenGraph,
        check_same: Callable[[], None],
    ):
        self._choice, self._graphs, self._provider = choice, graphs, provider
        self._open, self._check_same = open_graph, check_same
        self._candidate: Candidate | None = None
        self._widest, self._report = 0, ProviderReport(asked=provider, build="none")

    def load(self) -> LoadedGraph:
        """The best graph of now; raises as `ProviderChoice.choose` does."""
        return self._taken(self._choice.choose(self._graphs, self._provider))

    def reload(self) -> LoadedGraph:
        """The graph that ran, once more. Where that fails, `auto` takes the best that is left.

        Raises:
            ArtifactError: the artifact is another one, or its graph can't be loaded.
        """
        assert self._candidate is not None, "it was loaded before"
        self._check_same()
        try:
            session = self._open(self._candidate)
        except ArtifactError:
            if self._provider.casefold() != AUTO:
                raise
            return self.load()
        session.prefill_chunk = self._widest  # what the check of the first load found right here
        return LoadedGraph(session, self._candidate.graph.file, self._report)

    def review(self, report: ProviderReport) -> ProviderReport | LoadedGraph | None:
        """What trials found that went on when `report` was made: another graph, or else the report with their figures.

        None where they go on, or there were none. Where another graph can't be loaded, the report says why.
        """
        try:
            found = self._choice.found_since(self._graphs, report)
            if found is None:
                return None
            if found.best and self._file not in found.best:
                self._check_same()
                return self.load()
            self._report = found.told(report)
        except (ThinkportError, OSError) as error:  # what is loaded goes on
            self._report = report.without_trying(f"can't be taken: {error}")
        return self._report

    @property
    def _file(self) -> str | None:
        return None if self._candidate is None else self._candidate.graph.file

    def _taken(self, opened: OpenedGraph) -> LoadedGraph:
        self._candidate, self._widest, self._report = opened.candidate, opened.session.prefill_chunk, opened.report
        return LoadedGraph(opened.session, opened.candidate.graph.file, opened.report)
