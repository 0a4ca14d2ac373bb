"""Shows a download's bytes as a bar on stderr while it lasts; nothing where stderr is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from thinkport.runtime.hub import Progress


@contextmanager
def transfer_shown(title: str) -> Iterator[Callable[[Progress], None]]:
    """A function to call with the bytes so far; the bar comes with the first of them and leaves no line."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), DownloadColumn())
    bar = Bar(*columns, TransferSpeedColumn(), console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(title, total=None)

    def report(progress: Progress) -> None:
        bar.start()
        bar.update(task, completed=progress.done, total=progress.total or None)

    try:
        yield report
    finally:
        bar.stop()
