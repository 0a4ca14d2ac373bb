"""Turns huggingface_hub's progress bars into calls of a plain function, since a library never prints."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any


@dataclass(frozen=True)
class Progress:
    """Bytes fetched so far, of how many as far as is known yet."""

    done: int
    total: int


def reporting_bar(report: Callable[[Progress], None] | None) -> type[Any]:
    """A class to give as `tqdm_class`: silent, and reporting the bytes of whole downloads to `report`.

    Files are fetched in threads of their own: `report` is called from them, one call at a time.
    """
    from huggingface_hub.utils.tqdm import tqdm

    lock = Lock()

    class ReportingBar(tqdm):
        """Counts only; a bar of bytes reports, a bar of files doesn't."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.counts_bytes = kwargs.get("name") == "huggingface_hub.snapshot_download"
            self.fetched = kwargs.get("initial") or 0
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            with lock:
                self.fetched += n or 0
                if report is not None and self.counts_bytes:
                    report(Progress(int(self.fetched), int(self.total or 0)))
            return None

    return ReportingBar
