"""How gains of drafts look in a terminal."""

from collections.abc import Sequence

from rich.table import Table

from thinkport.deploy.bench.drafting import DraftGain


def drafts_table(found: Sequence[DraftGain]) -> Table:
    """A reply a row: its tokens, those that were guessed and that came, and speeds."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("reply", no_wrap=True)
    for header in ("tokens", "guessed", "came", "tok/s without", "with", "gain"):
        table.add_column(header, justify="right")
    for one in found:
        counts = (str(one.tokens), str(one.drafted), str(one.accepted))
        table.add_row(one.name, *counts, f"{one.plain:.1f}", f"{one.with_drafts:.1f}", f"{one.gain:.2f}")
    return table
