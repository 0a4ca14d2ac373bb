"""What `thinkport export` does and shows: progress while it works, a table when it is done."""

from typing import Any, cast

from rich.console import Console

from thinkport.export.progress_view import ProgressView
from thinkport.export.report_view import show_report
from thinkport.export.settings import ExportSettings, Kv, Precision


def run_export(*, quiet: bool, target: str | None, precision: str, kv: str | None, **options: Any) -> None:
    """Export with progress on stderr and the table on stdout; `target` is names with commas between."""
    settings = ExportSettings(
        targets=None if target is None else tuple(name.strip() for name in target.split(",")),
        precision=cast("Precision", precision),
        kv=cast("Kv | None", kv),
        **options,
    )
    from thinkport.export.exporter import export  # torch takes seconds to import: settings are checked before

    if quiet:
        export(settings)
        return
    with ProgressView(Console(stderr=True)) as view:
        report = export(settings, view)
    show_report(report, Console())
