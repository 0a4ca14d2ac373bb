"""A batch's output: a line a reply, in a file that outlives whatever kills the run.

Knows files and lines; must not know how a line is made.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from thinkport.runtime.batch.row_replies import failed, row_id
from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.file_lock import FileLock

_SIDE = ".run"  # ends the name of the file with the settings, which is also the lock of the run that writes


class BatchOutput:
    """The output of one run; close it, or use it as a context manager.

    Beside `OUT` stands `OUT.run` with the settings that its lines were made with. It is whole on disk before `OUT` is
    made and never changes after that.

    | `OUT` | settings in `OUT.run` | a run with these rows and settings                                       |
    |-------|-----------------------|--------------------------------------------------------------------------|
    | none  | any, or none          | begins                                                                   |
    | there | none                  | is refused: nobody knows what made the lines                             |
    | there | others                | is refused, with what differs                                            |
    | there | the same              | cuts off half a last line, keeps the whole ones and goes on with the rest |

    Lines are in the order of the rows, each on disk when `add` returns. A second run at the same time is refused.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], ids: Collection[str]):
        """Take the output for rows of these ids; `settings` are JSON data.

        Raises:
            InputError: the table refuses it, a line of it answers no row of these or one that an earlier line answers,
                or it can't be written.
        """
        self._path, self._settings = path, json.loads(json.dumps(settings))
        self.done: set[str] = set()
        self.failed = 0
        self._file: int | None = None
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no file, expected a file's name for the output")
        with ExitStack() as held:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._side = self._lock(path.with_name(path.name + _SIDE), held)
                found = self._recorded()
                if path.exists():
                    self._check(found)
                    self._take_lines(ids)
            except OSError as error:
                raise InputError(f"{path} can't be written: {error.strerror or error}") from error
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._held.close()

    def add(self, line: Mapping[str, Any]) -> None:
        """Write a line; it is on disk when this returns.

        Raises:
            OSError: it could not be, for example on a full disk; the next run cuts off what there is of it.
        """
        file = self._open() if self._file is None else self._file
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
        self._note(line)

    def _lock(self, side: Path, held: ExitStack) -> int:
        lock = FileLock.try_take(side)
        if lock is None or not os.path.samestat(os.fstat(lock.descriptor), side.stat()):
            raise InputError(f"{self._path} is being written by another run: wait for it, or name another output")
        held.enter_context(lock)

        def tidy() -> None:
            if not self._path.exists() or not os.fstat(lock.descriptor).st_size:  # nothing was written, or not by us
                with suppress(OSError):
                    side.unlink()

        held.callback(tidy)
        return lock.descriptor

    def _recorded(self) -> Any:
        os.lseek(self._side, 0, os.SEEK_SET)
        data = b"".join(iter(lambda: os.read(self._side, 1 << 16), b""))
        try:
            return json.loads(data)
        except ValueError:
            return None

    def _record(self) -> None:
        os.lseek(self._side, 0, os.SEEK_SET)
        os.ftruncate(self._side, 0)
        os.write(self._side, json.dumps(self._settings, indent=2).encode() + b"\n")
        os.fsync(self._side)

    def _check(self, found: Any) -> None:
        if not isinstance(found, dict):
            raise InputError(
                f"{self._path} is there, and {self._path.name}{_SIDE}, which would say what made it, is not: name "
                "another output, or delete this one"
            )
        there, here = _flat(found), _flat(self._settings)
        names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
        if names:
            told = "; ".join(f"{name} was {_shown(there.get(name))} and is {_shown(here.get(name))}" for name in names)
            raise InputError(
                f"{self._path} was begun with other settings ({told}): go on with those, or name another output"
            )

    def _take_lines(self, ids: Collection[str]) -> None:
        whole = 0
        with self._path.open("rb+") as file:
            for number, data in enumerate(file, 1):
                if not data.endswith(b"\n"):
                    break
                whole += len(data)
                self._take(data, number, ids)
            file.truncate(whole)

    def _take(self, data: bytes, number: int, ids: Collection[str]) -> None:
        try:
            line = json.loads(data)
            found = str(row_id(line))
        except (ValueError, TypeError, KeyError):
            raise InputError(
                f"{self._path} line {number} is no line of a batch: delete it, and its row is answered again"
            ) from None
        if found not in ids or found in self.done:
            what = "an earlier line answers" if found in self.done else "no row has"
            raise InputError(f"{self._path} line {number} answers {found!r}, which {what}: delete the line")
        self._note(line)

    def _note(self, line: Mapping[str, Any]) -> None:
        self.done.add(str(row_id(line)))
        self.failed += failed(line)

    def _open(self) -> int:
        if not self._path.exists():
            self._record()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = file = os.open(self._path, flags, 0o666)
        self._held.callback(lambda: os.close(file))
        return file


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, those within an object by the names of both."""
    inner = {
        f"{name}.{key}": one
        for name, value in settings.items()
        if isinstance(value, dict)
        for key, one in value.items()
    }
    return {name: value for name, value in settings.items() if not isinstance(value, dict)} | inner


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
