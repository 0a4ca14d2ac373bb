"""What `thinkport export` does and shows: progress while it works, a table when it is done, what it warns of."""

from typing import Any, cast

from rich.console import Console

from thinkport.export.progress_view import ProgressView
from thinkport.export.report_view import show_report
from thinkport.export.settings import ExportSettings, Kv, Precision


def run_export(*, quiet: bool, target: str | None, precision: str | None, kv: str | None, **options: Any) -> None:
    """Export with progress and warnings on stderr and the table on stdout; `target` is names with commas between."""
    settings = ExportSettings(
        targets=None if target is None else tuple(name.strip() for name in target.split(",")),
        precision=cast("Precision | None", precision),
        kv=cast("Kv | None", kv),
        **options,
    )
    from thinkport.export.exporter import export  # torch takes seconds to import: settings are checked before

    errors = Console(stderr=True)
    if quiet:
        report = export(settings)
    else:
        with ProgressView(errors) as view:
            report = export(settings, view)
        show_report(report, Console())
    certificate = report.manifest.certificate
    if certificate is not None and certificate.warning:
        errors.print(f"\nWarning: {certificate.warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
