"""Shows an export's stages with rich: a line a stage, a bar where the size is known."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

WORDS = {
    "open": "Opening the checkpoint",
    "trace": "Tracing the model",
    "equalize": "Making loud channels alike",
    "calibrate": "Measuring keys and values",
    "fuse": "Fusing the graph",
    "weights": "Writing the weights",
    "graph": "Writing the graph",
    "certify": "Holding it against the checkpoint",
    "manifest": "Writing the manifest",
}


class _Bytes(DownloadColumn):
    """Bytes done of all; nothing for a stage whose size nobody knows."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)


class ProgressView:
    """A listener of an export, and a context manager that takes the screen; a pipe gets a line a stage."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            _Bytes(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, stage: str, total: int | None) -> None:
        """Show a stage; one of unknown size pulses."""
        self._task = self._progress.add_task(WORDS.get(stage, stage), total=total)

    def advance(self, done: int) -> None:
        """Move the current stage's bar."""
        if self._task is not None:
            self._progress.advance(self._task, done)

    def resize(self, total: int) -> None:
        """Give the current stage's bar its size."""
        if self._task is not None:
            self._progress.update(self._task, total=total)

    def stop(self, stage: str, seconds: float) -> None:
        """Turn the stage's bar into a line that stays."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._console.print(f"{WORDS.get(stage, stage)} [dim]{seconds:.1f} s[/dim]", highlight=False)
