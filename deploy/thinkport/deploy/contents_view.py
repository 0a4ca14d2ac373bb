"""How an artifact's contents look in a terminal, section by section."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from thinkport.deploy.certificate_view import show_certificate
from thinkport.deploy.contents import Contents, folded
from thinkport.deploy.tables import facts_table, section, size, text_table
from thinkport.runtime.artifact.manifest import Graph, Task, kv_bytes
from thinkport.runtime.artifact.verdict import verdict_line, verdicts_as_json

_MORE = "--all shows weights, passes, inputs and outputs, memory, files and the certificate."


def show(console: Console, contents: Contents) -> None:
    """Write what fits on a screen: what it is, and a line a graph."""
    manifest = contents.manifest
    section(console, manifest.name, _overview(contents))
    section(console, "Graphs", _graphs(contents, console))
    if manifest.certificate is not None and manifest.certificate.warning:
        console.print(Text(f"Warning: {manifest.certificate.warning}", style="bold red"))
    console.print(Text(_MORE, style="dim"))


def show_all(console: Console, contents: Contents) -> None:
    """Write the whole view."""
    manifest = contents.manifest
    section(console, manifest.name, _summary(contents))
    section(console, "Weights by role", _roles(contents, console))
    section(console, "Passes", _passes(contents, console))
    for graph in manifest.graphs:
        section(console, f"Graph {graph.file}", _graph(graph, console))
    section(console, "KV cache of one conversation", _kv(contents, console))
    section(console, "Files", _files(contents, console))
    section(console, "Divergence from the checkpoint", show_certificate(manifest.certificate, console))


def _overview(contents: Contents) -> Table:
    manifest, model = contents.manifest, contents.manifest.model
    first, markers = manifest.graphs[0], manifest.thinking
    token = kv_bytes(model, first.kv)
    context = f"{token / 1e3:,.1f} KB a token, {size(token * model.context_length)} for {model.context_length:,} tokens"
    can = "" if manifest.task is not Task.CHAT else ", can think" if markers else ", can't think"
    certificate = manifest.certificate
    return facts_table(
        ("source", manifest.source.id),
        ("model", f"{model.family}, {model.layers} layers, hidden {model.hidden_size}, context {model.context_length}"),
        ("recipe", f"{manifest.recipe.name}, {manifest.recipe.bits_per_weight:.2f} bits a weight"),
        ("task", f"{manifest.task}{can}"),
        ("size", f"{size(contents.total_bytes)} in {contents.file_count} files; {_checked(contents)}"),
        ("KV cache", f"{context} ({first.file})"),
        ("verdict", verdict_line(certificate) if certificate else "not measured"),
    )


def _checked(contents: Contents) -> str:
    return "each of the recorded sha256" if contents.verified else "each of the recorded size"


def _graphs(contents: Contents, console: Console) -> Table:
    certificate = contents.manifest.certificate
    verdicts = verdicts_as_json(certificate)["graphs"] if certificate and certificate.figures else {}
    table = text_table(console, "graph", "runs on", "computes in", "KV cache", "verdict")
    for graph in contents.manifest.graphs:
        provider = graph.providers[0].removesuffix("ExecutionProvider")
        verdict = verdicts.get(graph.file, "-")
        table.add_row(graph.file, provider, graph.activations, graph.kv.dtype, Text(verdict))
    return table


def _summary(contents: Contents) -> Table:
    manifest, model = contents.manifest, contents.manifest.model
    revision = f" at {manifest.source.revision}" if manifest.source.revision else ""
    shape = (
        f"{model.family}, {model.layers} layers, hidden {model.hidden_size}, {model.mlps}, "
        f"{model.attention_heads} heads and {model.kv_heads} KV heads of {model.head_dim}, "
        f"vocabulary {model.vocab_size}, {'tied' if model.tied_embeddings else 'separate'} embeddings, "
        f"context {model.context_length}"
    )
    recipe = manifest.recipe
    checked = _checked(contents) if contents.verified else f"{_checked(contents)}; --verify hashes them"
    default = {None: "as the template has it", True: "on", False: "off"}[manifest.enable_thinking]
    markers = manifest.thinking
    thinking = f"ids {markers.start} and {markers.end}, {default}" if markers else "no markers"
    return facts_table(
        ("source", f"{manifest.source.id}{revision} ({manifest.source.dtype})"),
        ("model", shape),
        ("recipe", f"{recipe.name} ({recipe.precision}), {recipe.bits_per_weight:.2f} bits a weight"),
        *(("", note) for note in recipe.notes),
        ("task", str(manifest.task)),
        ("thinking", thinking),
        ("made", f"{manifest.created} with {', '.join(f'{k} {v}' for k, v in sorted(manifest.tools.items()))}"),
        ("size", f"{size(contents.total_bytes)} in {contents.file_count} files; {checked}"),
    )


def _roles(contents: Contents, console: Console) -> Table:
    table = text_table(console, "role", "format", "weights", "bits a weight", numbers=2)
    for role, stored in contents.manifest.recipe.roles.items():
        group = f" in groups of {stored.group_size}" if stored.group_size else ""
        level = f", level {stored.accuracy_level}" if stored.accuracy_level is not None else ""
        table.add_row(role, f"{stored.bits} bits{group}{level}", f"{stored.weights:,}", f"{stored.bits_per_weight:.2f}")
    return table


def _passes(contents: Contents, console: Console) -> RenderableType:
    if not contents.passes:
        return Text("none: the graph is as it was traced")
    table = text_table(console, "pass", "change in operators", "fired", "nodes before", "after", numbers=3)
    for delta in contents.passes:
        done, ordered = delta.record, sorted(delta.change.items(), key=lambda one: (one[1] > 0, -abs(one[1]), one[0]))
        change = ", ".join(f"{count:+d} {op}" for op, count in ordered) or "-"
        table.add_row(done.name, change, str(done.fired), str(done.nodes_before), str(done.nodes_after))
    last = contents.passes[-1].record.ops_after
    ops = ", ".join(f"{count} {op}" for op, count in sorted(last.items(), key=lambda item: (-item[1], item[0])))
    return Group(table, Text(f"In the end: {ops}"))


def _graph(graph: Graph, console: Console) -> RenderableType:
    cache = "one buffer for past and present" if graph.kv.in_place else "a past and a longer present"
    prefill = f"{graph.prefill_chunk} tokens a step" if graph.several_tokens_over_past else "at once, then one by one"
    facts = facts_table(
        ("target", f"{graph.target}: {', '.join(graph.providers)}, ONNX Runtime {graph.onnxruntime_floor} or newer"),
        ("nodes", f"{graph.nodes}, {'fused' if graph.fused else 'as traced'}"),
        ("cache", f"{graph.kv.dtype}, {cache}"),
        ("prefill", prefill),
    )
    table = text_table(console, "", "name", "type", "shape")
    for way, specs in (("in", graph.inputs), ("out", graph.outputs)):
        for name, spec in folded(specs):
            table.add_row(way, name, spec.dtype, Text(f"({', '.join(map(str, spec.shape))})"))
    return Group(facts, "", table)


def _kv(contents: Contents, console: Console) -> RenderableType:
    table = text_table(console, "graph", "type", "tokens", "memory", numbers=2)
    entries = contents.kv_memory
    for entry in entries:
        mark = "*" if entry.tokens < entry.asked else ""
        table.add_row(entry.graph, entry.dtype, f"{entry.asked:,}{mark}", size(entry.bytes))
    if all(entry.tokens == entry.asked for entry in entries):
        return table
    limit = contents.manifest.model.context_length
    return Group(table, Text(f"* more than the model's context: the memory is that of {limit:,} tokens"))


def _files(contents: Contents, console: Console) -> Table:
    table = text_table(console, "file", "size", numbers=1)
    for name, record in sorted(contents.manifest.files.items(), key=lambda item: -item[1].bytes):
        table.add_row(Text(name), size(record.bytes))
    return table
