"""What this machine found out about its providers: whether a graph on one of them says what the checkpoint says.

A file a verdict, named by its key, written whole. A trial that has begun is written down before it runs, so that one
which takes the process with it, as a graphics driver can, is known of at the next start. Nothing here is needed to
run: a folder that can't be read or written remembers nothing.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import TypeAdapter

from thinkport.runtime.machine.user_cache import user_cache_folder, write_whole

Known = TypeVar("Known")

MOST_TRIALS = 2  # of one that fails or ends the process; once may be chance, a full memory or a user's kill


@dataclass(frozen=True, kw_only=True)
class VerdictKey:
    """What a verdict holds for; see `Manifest`, `OrtBuild` and `Device` for the values.

    `artifact` is the artifact's fingerprint, `package` ONNX Runtime's build with its version, `devices` the machine's
    with their drivers, or for the CPU's provider what the CPU can do, `device` the number of the one that it ran
    on (0 where none was named, which is the first), `thinkport` the version whose session options and check it was.
    """

    artifact: str
    graph: str
    provider: str
    package: str
    devices: tuple[str, ...]
    thinkport: str
    device: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32] + ".json"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The state of a key's trials.

    `trials` counts those that were begun; `whole` says that the last one went through; `fault` is what was wrong.
    `widest` is the most tokens of a step in which a graph was right, None where that is all that the graph takes;
    `narrowed` says what is wrong with wider steps.
    """

    trials: int = 0
    whole: bool = False
    fault: str | None = None
    widest: int | None = None
    narrowed: str | None = None

    @property
    def right(self) -> bool:
        """Whether the graph was tried and is right."""
        return self.whole and self.fault is None

    @property
    def wrong(self) -> str | None:
        """Why the graph must not be used, in words; None where it may be, or may be tried."""
        if self.whole:
            return self.fault
        if self.trials < MOST_TRIALS:
            return None
        return f"{self.fault or 'the check ended the process'}, {self.trials} times"

    def begun(self) -> Self:
        """The state while another trial runs."""
        return replace(self, trials=self.trials + 1, whole=False)

    def ended(self, fault: str | None, widest: int | None = None, narrowed: str | None = None) -> Self:
        """The state after a trial that went through."""
        return replace(self, whole=True, fault=fault, widest=widest, narrowed=narrowed)

    def failed(self, why: str) -> Self:
        """The state after a trial in which the graph could not be run."""
        return replace(self, whole=False, fault=why)


class KeyedFiles(Generic[Known]):
    """What is known of each key, a file a key; a folder that can't be read or written remembers nothing."""

    def __init__(self, folder: Path, part: str, kind: type[Known]):
        """`part` is what a file calls its content, the fields of `kind`, a dataclass.

        Its defaults are what is known where no file is.
        """
        self.folder = folder
        self._part, self._kind = part, kind

    @property
    def remembers(self) -> bool:
        """Whether what is written now can be read later."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder.is_dir() and os.access(self.folder, os.R_OK | os.W_OK)

    def read(self, key: VerdictKey) -> Known:
        """What is known of a key; a damaged file says nothing."""
        try:
            told = json.loads((self.folder / key.name).read_text(encoding="utf-8"))
            return TypeAdapter(self._kind).validate_python(told[self._part])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):  # pydantic's error is a ValueError
            return self._kind()

    def write(self, key: VerdictKey, known: Known) -> None:
        """Remember it, if the folder can be written."""
        text = json.dumps({"key": asdict(key), self._part: asdict(cast("Any", known))}, indent=1)
        write_whole(self.folder / key.name, text)

    def forget(self, key: VerdictKey) -> None:
        """Take it back, so that the graph is tried anew."""
        with suppress(OSError):
            (self.folder / key.name).unlink(missing_ok=True)


class Verdicts(KeyedFiles[Verdict]):
    """The verdicts in one folder."""

    def __init__(self, folder: Path | None = None):
        """`folder` is thinkport's in the user's cache if not given, wherever weights are cached: a verdict is small."""
        super().__init__(folder or user_cache_folder() / "verdicts", "verdict", Verdict)
