"""How a certificate looks in a terminal: the verdict, a line a graph, and a line for each kind of text and language."""

from collections.abc import Iterator, Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from thinkport.deploy.tables import number_table, text_table
from thinkport.runtime.artifact.certificate import Certificate, Figure, Perplexity, TextFigure
from thinkport.runtime.artifact.verdict import (
    Grade,
    score_words,
    vector_words,
    verdict_line,
    verdict_of,
    verdict_of_artifact,
    verdict_of_graph,
)


def show_certificate(certificate: Certificate | None, console: Console) -> RenderableType:
    """The whole certificate, or that there is none."""
    if certificate is None:
        return Text("not measured: the artifact was exported without a certificate")
    scores = [Text(f"{one.graph}: {score_words(one)}") for one in certificate.scores or ()]
    if certificate.vectors:
        return Group(*(Text(f"{one.graph}: {vector_words(one)}") for one in certificate.vectors))
    warning = [Text(f"Warning: {certificate.warning}", style="bold red")] if certificate.warning else []
    parts = [_verdicts(certificate, console), _figures(certificate, console)]
    first = certificate.figures[0]
    parts += [_groups(first, groups, title, console) for title, groups in _groups_of(first) if groups]
    spaced = [part for one in parts for part in (one, "")]
    return Group(verdict_text(certificate), "", *spaced, *_perplexities(certificate), *scores, *warning)


def verdict_text(certificate: Certificate) -> Text:
    """The artifact's verdict with what to do: red where it is damaged, yellow where it may be."""
    if not certificate.figures:
        return Text(verdict_line(certificate))
    found = verdict_of_artifact(certificate)
    style = "bold red" if found.damaged else "yellow" if found.worst is Grade.DAMAGED else "green"
    return Text(verdict_line(certificate), style=style)


def bounds(found: Figure | TextFigure) -> str:
    """Where a mean KL divergence lies with 95 % confidence, in words."""
    if found.kl_low is None or found.kl_high is None:
        return "-"
    return f"{found.kl_low:.2g} to {found.kl_high:.2g}"


def group_verdict(found: TextFigure) -> str:
    """The verdict of a kind of text or a language; none of too few positions."""
    return "too few" if found.kl_low is None else verdict_of(found).grade


def perplexity_text(found: Perplexity | None) -> str:
    """A graph's perplexity, and the checkpoint's in brackets."""
    return "-" if found is None else f"{found.graph:.3g} ({found.checkpoint:.3g})"


def _verdicts(certificate: Certificate, console: Console) -> Table:
    table = text_table(console, "graph", "mean KL, 95 %", "verdict")
    for figure in certificate.figures:
        found = verdict_of_graph(figure)
        style = "bold red" if found.damaged else ""
        table.add_row(figure.graph.removesuffix(".onnx"), bounds(figure), Text(str(found), style=style))
    return table


def _figures(certificate: Certificate, console: Console) -> Table:
    columns = ("graph", "rows", "mean KL", "p95", "largest", "top-1", "top-5", "corr.", "greedy")
    table = text_table(console, *columns, numbers=8)
    for figure in certificate.figures:
        kl = (f"{value:.2g}" for value in (figure.kl_mean, figure.kl_p95, figure.kl_max))
        agreement = (f"{value:.1%}" for value in (figure.top1_agreement, figure.top5_agreement))
        greedy = "-" if figure.greedy_tokens is None else f"{figure.greedy_tokens} of {figure.greedy_asked}"
        name = figure.graph.removesuffix(".onnx")
        table.add_row(name, str(figure.tokens), *kl, *agreement, f"{figure.correlation:.3f}", greedy)
    return table


def _groups_of(figure: Figure) -> Iterator[tuple[str, Mapping[str, TextFigure] | None]]:
    yield "kind of text", figure.by_kind
    yield "language", figure.by_language


def _groups(figure: Figure, groups: Mapping[str, TextFigure], title: str, console: Console) -> Table:
    """What the first graph gave, the furthest first."""
    table = number_table(console, title, "rows", "mean KL, 95 %", "perplexity", "verdict")
    for name, found in sorted(groups.items(), key=lambda one: -one[1].kl_mean):
        table.add_row(
            name,
            str(found.tokens),
            bounds(found) if found.kl_low is not None else f"{found.kl_mean:.2g}",
            perplexity_text(found.perplexity),
            Text(group_verdict(found), style="bold red" if group_verdict(found) == Grade.DAMAGED else ""),
        )
    return table


def _perplexities(certificate: Certificate) -> Iterator[Text]:
    """What the fixed texts cost checkpoint and graphs, whose one is the same beside graphs that were asked as many."""
    lengths: dict[int, list[tuple[str, Perplexity]]] = {}
    for figure in certificate.figures:
        if one := figure.perplexity:
            lengths.setdefault(one.tokens, []).append((figure.graph, one))
    for tokens, found in lengths.items():
        graphs = ", ".join(f"{one.graph:.4g} {graph}" for graph, one in found)
        yield Text(f"Perplexity of {tokens} tokens of text: {found[0][1].checkpoint:.4g} the checkpoint, {graphs}")
