"""How a profile looks in a terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from thinkport.deploy.bench.profiling import Profile, Share


def show_profile(console: Console, found: Profile) -> None:
    """Write the table by operator and the table by layer."""
    nodes = sum(share.milliseconds for share in found.by_op.values())
    console.print(f"one token at context {found.context}: {found.step_ms:.2f} ms, of which nodes {nodes:.2f} ms")
    for name, groups in (("operator", found.by_op), ("part", _folded(found.by_layer))):
        console.print()
        console.print(_table(name, groups, found.step_ms))


def _folded(layers: Mapping[str, Share]) -> dict[str, Share]:
    """Layers are alike: their mean, the fastest and the slowest stand for them."""
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


def _table(name: str, groups: Mapping[str, Share], whole: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(name, no_wrap=True)
    for header in ("nodes", "ms", "share"):
        table.add_column(header, justify="right")
    for group, share in groups.items():
        part = share.milliseconds / whole
        table.add_row(group, str(share.nodes), f"{share.milliseconds:.3f}", f"{part:.1%}")
    return table
