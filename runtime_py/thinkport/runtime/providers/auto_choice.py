"""Which graphs `auto` may take: the fastest right one by this machine's trials, and until they are through the CPU's.

Knows records of trials. Must not know how a graph is loaded or checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.providers.ort import CPU
from thinkport.runtime.providers.provider_report import Attempt, Outcome, ProviderReport
from thinkport.runtime.providers.trial_record import TrialOutcome, TrialRecord, TrialResult
from thinkport.runtime.providers.trials import Trials

_OUTCOMES = {
    TrialOutcome.RIGHT: Outcome.SLOWER,
    TrialOutcome.WRONG: Outcome.WRONG,
    TrialOutcome.ENDED: Outcome.FAILED,
    TrialOutcome.IMPOSSIBLE: Outcome.IMPOSSIBLE,
}
_TRYING = "is being tried in a process beside this one; later loads take the fastest graph that is right here"
_UNKNOWN = "not tried: it has no record to be held against (--no-certificate); name its provider to run it"
_AGAIN = "; `thinkport doctor ARTIFACT` tries it again"
_LOOKS = "; `thinkport doctor ARTIFACT` looks again"


@dataclass(frozen=True, kw_only=True)
class AutoChoice:
    """The graphs to choose from, what became of the others, and what is `said` of the best one.

    `best` are the files that it may run from: its own and its native form's.
    """

    graphs: list[Graph]
    said: str = ""
    best: tuple[str, ...] = ()
    others: tuple[Attempt, ...] = ()

    def told(self, report: ProviderReport) -> ProviderReport:
        """A report of before with what is known now of its graph and of the others."""
        news = {one.graph for one in self.others}
        old = [one for one in report.attempts if one.graph not in news and one.outcome is not Outcome.TRYING]
        kept = map(self.of, old)
        return replace(report, attempts=(*kept, *self.others))

    def of(self, attempt: Attempt) -> Attempt:
        """An attempt with what is said of its graph."""
        if not self.said or attempt.graph not in self.best:
            return attempt
        return replace(attempt, reason=f"{attempt.reason}; {self.said}")


def auto_choice(graphs: Sequence[Graph], trials: Trials) -> AutoChoice | None:
    """The choice by trials, which are begun where there were none; None where a choice can't be made by trials.

    That is where the CPU can't answer meanwhile, nothing but the CPU is there, or no process can be started or
    remembered. Of an artifact without goldens the CPU's graphs are taken: nothing tells whether others are right. So
    they are where a plugin is known to have no device: its library is not even loaded.
    """
    own, worth = [graph for graph in graphs if graph.providers[0] == CPU], trials.worth(graphs)
    others = [graph for graph in worth if graph.providers[0] != CPU]
    absent = [_attempt(graph, Outcome.IMPOSSIBLE, one.reason + _LOOKS) for graph, one in trials.absent(graphs)]
    if own and absent and not others:
        return AutoChoice(graphs=own, others=tuple(absent))
    if not others or len(others) == len(worth):
        return None
    if trials.manifest.certificate is None:
        return AutoChoice(graphs=own, others=tuple(_attempt(graph, Outcome.UNNEEDED, _UNKNOWN) for graph in others))
    if not trials.possible:
        return None
    record = trials.record
    if record.whole:
        return _by_speed(graphs, own, record)
    why = trials.start()
    outcome, reason = (Outcome.TRYING, _TRYING) if why is None else (Outcome.UNNEEDED, f"not tried: {why}")
    return AutoChoice(graphs=own, others=(*(_attempt(graph, outcome, reason) for graph in others), *absent))


def _by_speed(graphs: Sequence[Graph], own: list[Graph], record: TrialRecord) -> AutoChoice:
    best = record.fastest
    taken = [graph for graph in graphs if best is not None and graph.file == best.graph and graph not in own]
    files = {graph.file for graph in (*taken, *own)}
    known = {graph.file: graph for graph in graphs}
    others = [one for one in record.results if one.graph not in files and one.graph in known]
    attempts = [_attempt(known[one.graph], _OUTCOMES[one.outcome], _reason(one), one.device) for one in others]
    of_best = [graph for graph in (*taken, *own) if best is not None and graph.file == best.graph]
    names = (name for one in of_best for name in (one.file, one.native and one.native.graph.file) if name)
    said = _compared(record, best)
    return AutoChoice(graphs=[*taken, *own], said=said, best=tuple(names), others=tuple(attempts))


def _reason(result: TrialResult) -> str:
    if result.outcome is TrialOutcome.RIGHT:
        return f"right here, and slower: {result.speed}"
    return result.reason + {TrialOutcome.ENDED: _AGAIN, TrialOutcome.IMPOSSIBLE: _LOOKS}.get(result.outcome, "")


def _compared(record: TrialRecord, best: TrialResult | None) -> str:
    """The fastest graph's speed against the next one's."""
    if best is None or best.reply_seconds is None:
        return ""
    slower = [(one.reply_seconds, one) for one in record.results if one is not best and one.reply_seconds is not None]
    if not slower:
        return f"{best.speed}"
    seconds, other = min(slower, key=lambda one: one[0])
    times = seconds / best.reply_seconds
    return f"{best.speed}: a reply takes {other.graph} {times:.1f} times as long ({other.speed})"


def _attempt(graph: Graph, outcome: Outcome, reason: str, device: str | None = None) -> Attempt:
    return Attempt(graph=graph.file, provider=graph.providers[0], outcome=outcome, reason=reason, device_name=device)
