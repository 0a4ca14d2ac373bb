"""How a benchmark looks in a terminal: speeds, then what they cost, then ratios, each within 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from thinkport.deploy.bench.benchmark import Benchmark, Measurement, Spread


def show(console: Console, bench: Benchmark) -> None:
    """Write all tables."""
    plan = bench.plan
    console.print(bench.machine.title)
    console.print(
        f"{plan.threads} threads read {bench.bandwidth / 1e9:.1f} GB/s of memory; best of {plan.rounds} rounds, "
        "turn about"
    )
    for table in (_speeds(console, bench), _costs(console, bench), _ratios(console, bench)):
        if table:
            console.print()
            console.print(table)
    checked = [(row.name, found) for row in bench.rows if (found := row.least("files_s")) is not None]
    if checked:
        console.print()
        parts = ", ".join(f"{name} {found:.3f} s" for name, found in checked)
        console.print(f"of a load, to hold the files against the manifest: {parts}")
    spreads = [s.spread for row in bench.rows for s in _all_speeds(bench, row) if s]
    console.print()
    console.print(f"tok/s; the slowest round of a figure is up to {max(spreads, default=0):.0%} below the best")


def _speeds(console: Console, bench: Benchmark) -> Table:
    table = _table(console, *(f"prefill {n}" for n in bench.plan.prefills), *(f"at {n}" for n in bench.plan.contexts))
    for row in bench.rows:
        table.add_row(row.name, *(_speed(found) for found in _all_speeds(bench, row)))
    for row in bench.rows[:1]:
        shares = [row.of_limit(context, bench.bandwidth) for context in bench.plan.contexts]
        table.add_row("  share of the limit", *("" for _ in bench.plan.prefills), *map(_percent, shares))
    return table


def _costs(console: Console, bench: Benchmark) -> Table:
    table = _table(console, "load s", "1st token s", "private MB", "engine", "mean KL", "top-1")
    for row in bench.rows:
        memory = row.least("private_bytes")
        figure = row.figure
        table.add_row(
            row.name,
            _number(row.least("load_s"), 2),
            _number(row.least("first_token_s"), 2),
            _number(None if memory is None else memory / 1e6, 0),
            _percent(row.engine_share),
            f"{figure.kl_mean:.4f}" if figure else "-",
            _percent(figure.top1_agreement if figure else None),
        )
    return table


def _ratios(console: Console, bench: Benchmark) -> Table | None:
    """How many times as fast the first row is."""
    first, *others = bench.rows
    if not others:
        return None
    own = _all_speeds(bench, first)
    headers = (*(f"prefill {n}" for n in bench.plan.prefills), *(f"at {n}" for n in bench.plan.contexts))
    table = _table(console, *headers, first=f"{first.name} over")
    for row in others:
        pairs = zip(own, _all_speeds(bench, row), strict=True)
        table.add_row(row.name, *(f"{a.best / b.best:.2f}" if a and b else "-" for a, b in pairs))
    return table


def _all_speeds(bench: Benchmark, row: Measurement) -> Sequence[Spread | None]:
    return [*map(row.prefill, bench.plan.prefills), *map(row.decode, bench.plan.contexts)]


def _speed(found: Spread | None) -> str:
    return _number(found.best if found else None, 1)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _table(console: Console, *numbers: str, first: str = "") -> Table:
    rules, gap = (box.SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)
    table = Table(box=rules, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column(first, no_wrap=True)
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table
