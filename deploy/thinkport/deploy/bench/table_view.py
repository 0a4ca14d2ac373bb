"""How benchmarks, profiles, and the gains of drafts and of shared steps look in a terminal, within 80 columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from rich.console import Console
from rich.table import Table

from thinkport.deploy.bench.benchmark import Benchmark, BenchRow, Spread
from thinkport.deploy.bench.clients import ClientsFound
from thinkport.deploy.bench.contender import BenchPlan
from thinkport.deploy.bench.drafting import DraftGain
from thinkport.deploy.bench.machine import BenchMachine
from thinkport.deploy.bench.profiling import Profile, Share
from thinkport.deploy.tables import number_table


def show_benchmark(console: Console, bench: Benchmark) -> None:
    """Write speeds, then what they cost, then ratios."""
    plan = bench.plan
    console.print(bench.machine.title)
    console.print(
        f"{plan.threads} threads read {bench.bandwidth}\n"
        f"best of {plan.rounds} rounds, turn about, after one that warmed up"
    )
    if plan.talk is not None:
        console.print(f"a conversation is {plan.talk}, whose first token ends it")
    for row in bench.rows:
        if row.samples:
            console.print(f"{row.name}: {row.samples[0].engine}{_pages(row)}{_device(row)}")
        if row.failed is not None:
            console.print(f"{row.name} failed after {len(row.samples)} rounds: {row.failed}")
    bench = replace(bench, rows=tuple(row for row in bench.rows if row.samples))
    if plan.clients:
        console.print("", _together(console, bench), "\ntok/s of all clients together, medians", sep="\n")
        return
    for table in (
        _speeds(console, bench),
        _talks(console, bench),
        _costs(console, bench),
        _starts(console, bench),
        _ratios(console, bench),
    ):
        if table:
            console.print("", table, sep="\n")
    spreads = [s.spread for row in bench.rows for s in _all_speeds(bench, row) if s]
    console.print(f"\ntok/s; the slowest round of a figure is up to {max(spreads, default=0):.0%} below the best")


def show_drafts(console: Console, machine: BenchMachine, found: Sequence[DraftGain]) -> None:
    """Write a row for each reply: its tokens, how many were guessed and how many guesses were right, and speeds."""
    console.print(f"{machine.title}\n")
    table = number_table(console, "reply", "tokens", "guessed", "came", "tok/s without", "with", "gain")
    for one in found:
        counts = (str(one.tokens), str(one.drafted), str(one.accepted))
        table.add_row(one.name, *counts, f"{one.plain:.1f}", f"{one.with_drafts:.1f}", f"{one.gain:.2f}")
    console.print(table)


def show_clients(console: Console, machine: BenchMachine, found: ClientsFound) -> None:
    """Write speeds by clients, then what a client gets that comes while others are written."""
    console.print(f"{machine.title}\n")
    names = ("clients at context", "turns, tok/s", "shared", "gain", "longest wait, ms", "private MB")
    table = number_table(console, *names)
    for one in found.gains:
        memory = _number(None if one.private_bytes is None else one.private_bytes / 1e6, 0)
        speeds = (f"{one.turns:.1f}", f"{one.shared:.1f}", f"{one.gain:.2f}")
        table.add_row(f"{one.clients} at {one.context:,}", *speeds, f"{one.longest_wait * 1e3:.0f}", memory)
    console.print(table, "", sep="\n")
    names = ("one more beside", "first token, s", "alone", "ratio", "others' wait, ms", "their step")
    table = number_table(console, *names)
    for late in found.late:
        times = (f"{late.first_token:.2f}", f"{late.alone:.2f}", f"{late.first_token / late.alone:.2f}")
        waits = (f"{late.longest_wait * 1e3:.0f}", f"{late.step * 1e3:.0f}")
        table.add_row(f"{late.clients} at {late.context:,}", *times, *waits)
    prompt, rows = found.late[0].prompt, found.rows
    console.print(table, "", sep="\n")
    console.print(
        f"one more: with a prompt of {prompt}; prompts get {rows.prompt_share:.0%} of the time while replies are "
        f"written, and pieces for a wait of {rows.longest_wait * 1e3:.0f} ms at most"
    )


def show_profile(console: Console, machine: BenchMachine, profiles: Sequence[Profile]) -> None:
    """Write a table by operator, one by role and shape, and one by layer for each context."""
    console.print(machine.title)
    for found in profiles:
        nodes = sum(share.milliseconds for share in found.by_op.values())
        console.print(f"\none token at context {found.context}: {found.step_ms:.2f} ms, of which nodes {nodes:.2f} ms")
        roles = _above(found.by_role, found.step_ms / 100)
        for name, groups in (("operator", found.by_op), ("role and shape", roles), ("part", _folded(found.by_layer))):
            table = number_table(console, name, "nodes", "ms", "share")
            for group, share in groups.items():
                part = _percent(share.milliseconds / found.step_ms)
                table.add_row(group, str(share.nodes), _number(share.milliseconds, 3), part)
            console.print("", table, sep="\n")


def _above(groups: Mapping[str, Share], least: float) -> dict[str, Share]:
    """The groups that take at least so many milliseconds; the others as one."""
    shown = {name: share for name, share in groups.items() if share.milliseconds >= least}
    rest = [share for name, share in groups.items() if name not in shown]
    if rest:
        nodes, milliseconds = sum(one.nodes for one in rest), sum(one.milliseconds for one in rest)
        shown[f"{len(rest)} others"] = Share(nodes=nodes, milliseconds=milliseconds)
    return shown


def _folded(layers: Mapping[str, Share]) -> dict[str, Share]:
    """The layers' mean, the fastest and the slowest stand for all layers, which are alike."""
    inner = {name: share for name, share in layers.items() if name.startswith("layer ")}
    outer = {name: share for name, share in layers.items() if name not in inner}
    if not inner:
        return outer
    order = sorted(inner, key=lambda name: inner[name].milliseconds)
    total = Share(
        nodes=sum(share.nodes for share in inner.values()),
        milliseconds=sum(share.milliseconds for share in inner.values()),
    )
    return {
        f"all {len(inner)} layers": total,
        f"  fastest: {order[0]}": inner[order[0]],
        f"  slowest: {order[-1]}": inner[order[-1]],
        **outer,
    }


def _speeds(console: Console, bench: Benchmark) -> Table:
    table = _speed_table(console, "", bench.plan)
    for row in bench.rows:
        speeds = _all_speeds(bench, row)
        table.add_row(row.name, *(_number(found.best if found else None, 1) for found in speeds))
        if bench.plan.rounds > 1:
            table.add_row("  median", *(_number(found.median if found else None, 1) for found in speeds))
    shares = [bench.rows[0].of_limit(context, bench.bandwidth.speed) for context in bench.plan.contexts]
    table.add_row("  share of the limit", *("" for _ in bench.plan.prefills), *map(_percent, shares))
    return table


def _speed_table(console: Console, first: str, plan: BenchPlan) -> Table:
    return number_table(console, first, *(f"prefill {n}" for n in plan.prefills), *(f"at {n}" for n in plan.contexts))


def _talks(console: Console, bench: Benchmark) -> Table | None:
    """Seconds of the conversation: the fastest round, and the totals' median beside the first row's."""
    if bench.plan.talk is None:
        return None
    totals = [median(one.total for one in row.talks) for row in bench.rows]
    table = number_table(console, "a conversation, s", "1st token", "reply", "2nd question", "total", "median", "times")
    for row, total in zip(bench.rows, totals, strict=True):
        best = row.talks[0]
        parts = (best.prompt, best.reply, best.second, best.total, total)
        table.add_row(row.name, *(_number(part, 2) for part in parts), _number(total / totals[0], 2))
    return table


def _together(console: Console, bench: Benchmark) -> Table:
    """What all clients get, and how many times as much the first row's do."""
    pairs = [(context, count) for context in bench.plan.contexts for count in bench.plan.clients]
    table = number_table(console, "clients", *(f"{count} at {context:,}" for context, count in pairs))
    own: list[float] = []
    for row in bench.rows:
        speeds = [median(one.together[context][count] for one in row.samples) for context, count in pairs]
        own = own or speeds
        table.add_row(row.name, *(f"{speed:.1f}" for speed in speeds))
        if own is not speeds:
            table.add_row("  times", *(f"{one / speed:.2f}" for one, speed in zip(own, speeds, strict=True)))
    return table


def _costs(console: Console, bench: Benchmark) -> Table:
    table = number_table(console, "", "load s", "1st token s", "private MB", "engine", "mean KL", "top-1")
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
    """How many times as fast the first row is, by medians."""
    first, *others = bench.rows
    if not others:
        return None
    own = _all_speeds(bench, first)
    table = _speed_table(console, f"{first.name} over", bench.plan)
    for row in others:
        pairs = zip(own, _all_speeds(bench, row), strict=True)
        table.add_row(row.name, *(f"{a.median / b.median:.2f}" if a and b else "-" for a, b in pairs))
    return table


def _all_speeds(bench: Benchmark, row: BenchRow) -> Sequence[Spread | None]:
    return [*map(row.prefill, bench.plan.prefills), *map(row.decode, bench.plan.contexts)]


def _pages(row: BenchRow) -> str:
    """How much of its weights and KV cache the system put into huge pages, in the last round."""
    last = row.samples[-1]
    parts = ((last.weights_pages, "the weights"), (last.kv_pages, "a KV cache"))
    said = [f"{found[1] / 1e6:,.1f} of {found[0] / 1e6:,.1f} MB of {name}" for found, name in parts if found]
    return f"; in huge pages: {', '.join(said)}" if said else ""


def _starts(console: Console, bench: Benchmark) -> Table | None:
    """Where the fastest start of a process went, up to its first token."""
    table = number_table(console, "to a first token, s", "imports", "loading", "of it files", "prompt")
    for row in bench.rows:
        started = [one for one in row.samples if one.import_s is not None]
        if started:
            best = min(started, key=lambda one: one.first_token_s or 0.0)
            imports, load = best.import_s or 0.0, best.load_s or 0.0
            prompt = (best.first_token_s or 0.0) - imports - load
            table.add_row(row.name, *(_number(one, 3) for one in (imports, load, best.files_s, prompt)))
    return table if table.row_count else None


def _device(row: BenchRow) -> str:
    """What crosses to its device at a step, and what its KV cache takes there."""
    found = row.samples[-1].device
    if found is None:
        return ""
    return (
        f"; a step after {found.context:,} tokens is given {found.given:,} bytes and returns {found.returned:,}; "
        f"its KV cache is {found.cache / 1e6:,.1f} MB on the device, {found.grown / 1e6:,.1f} MB if it grew there"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
