"""What trials found out of an artifact's graphs on this machine, remembered in a file: how fast each right one is.

A record holds for an artifact, for versions, for what the CPU can do, and for devices and drivers as the system lists
them, so that none of them has to be started to find it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from thinkport.runtime.machine.file_lock import FileLock
from thinkport.runtime.machine.user_cache import user_cache_folder
from thinkport.runtime.providers.verdicts import KeyedFiles, VerdictKey

MOST_STARTS = 2  # of trials that were begun and left no whole record: this program can't run them

# A reply to judge by, in tokens: about a page of context, and a short thought with its answer.
PROMPT, REPLY = 256, 256

STARTING = 15.0  # seconds in which a process that runs trials has begun to


class TrialOutcome(StrEnum):
    """What became of a graph in its trial."""

    RIGHT = "right"
    WRONG = "wrong"  # its logits are others, or it fails
    ENDED = "ended"  # its process crashed, or had to be ended
    IMPOSSIBLE = "impossible"  # something is missing


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One graph: `prefill` and `decode` are tokens per second, None where the graph is not right.

    `absent` says that there is no device for it here, whatever the artifact.
    """

    graph: str
    provider: str
    outcome: TrialOutcome
    reason: str
    device: str | None = None
    prefill: float | None = None
    decode: float | None = None
    absent: bool = False

    @property
    def reply_seconds(self) -> float | None:
        """How long a reply of `REPLY` tokens to a prompt of `PROMPT` tokens takes."""
        if not self.prefill or not self.decode:
            return None
        return PROMPT / self.prefill + REPLY / self.decode

    @property
    def speed(self) -> str:
        """The figures in words."""
        return f"{self.decode or 0:.0f} tokens/s, prompts {self.prefill or 0:.0f}"


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The results in the order of the trials; `whole` once all went through, `starts` counts how often they began.

    `begun` is when that was last, in the seconds of the system's clock.
    """

    results: tuple[TrialResult, ...] = ()
    whole: bool = False
    starts: int = 0
    begun: float | None = None

    @property
    def fastest(self) -> TrialResult | None:
        """The right graph with the shortest reply."""
        timed = [(one.reply_seconds, at) for at, one in enumerate(self.results) if one.reply_seconds is not None]
        return self.results[min(timed)[1]] if timed else None

    def of(self, graph: str) -> TrialResult | None:
        """The result of a graph by its file."""
        return next((one for one in self.results if one.graph == graph), None)

    def starting(self, now: float) -> bool:
        """Whether the process that was to run the trials may not have got there yet."""
        return self.begun is not None and 0 <= now - self.begun < STARTING

    def started(self, now: float) -> Self:
        """The record when trials are begun once more."""
        return replace(self, starts=self.starts + 1, begun=now)

    def with_result(self, result: TrialResult) -> Self:
        """The record with one more result."""
        return replace(self, results=(*self.results, result))


class TrialRecords(KeyedFiles[TrialRecord]):
    """The records in one folder."""

    def __init__(self, folder: Path | None = None):
        """`folder` is thinkport's in the user's cache if not given."""
        super().__init__(folder or user_cache_folder() / "trials", "record", TrialRecord)

    def try_lock(self, key: VerdictKey) -> FileLock | None:
        """The right to run the trials of a key; None where another process has it.

        Raises:
            OSError: the folder can't be written, or its file system has no locks.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock.try_take(self.folder / f"{key.name}.lock")
