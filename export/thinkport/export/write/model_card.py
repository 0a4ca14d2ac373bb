"""The artifact's README.md, a model card for the Hugging Face Hub: a pure function of what an export made.

States what was measured, or that nothing was; repeats no figure of the checkpoint's authors.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from thinkport.deploy.certificate_view import bounds, group_verdict, perplexity_text
from thinkport.deploy.genai_files import genai_graph_name, overlay_name
from thinkport.deploy.targets import target
from thinkport.export.checkpoint.tokenizer_files import StopToken
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.manifest import MODEL_CARD, Graph, Manifest, Task
from thinkport.runtime.artifact.verdict import CLOSE, USABLE, score_words, vector_words, verdict_line, verdict_of_graph

_MEANINGS = (
    f"close means a mean KL divergence of at most {CLOSE:g} nats from the checkpoint (perplexity about 5 % higher), "
    f"usable at most {USABLE:g} (22 %), damaged more; the words hold with 95 % confidence."
)
_PIPELINES = {Task.CHAT: "text-generation", Task.EMBEDDING: "feature-extraction", Task.RERANK: "text-ranking"}
_COMMANDS = {  # that show what the artifact is for
    Task.CHAT: 'thinkport generate . "Why is the sky blue?"',
    Task.EMBEDDING: 'echo "The sky is blue." | thinkport embed .',
    Task.RERANK: 'echo "The sky is blue." | thinkport rerank . "Which colour has the sky?"',
}
CARD_NAME = MODEL_CARD  # not listed in itself: its size is known only when it is written


def model_card(manifest: Manifest, *, license_id: str | None = None, stops: Sequence[StopToken] = ()) -> str:
    """The card's text.

    `license_id` is the checkpoint's licence as the Hub spells it, None if it names none; `stops` are the tokens that
    end a reply, with the files that name them.
    """
    inside = f"{_shape(manifest)}{'' if manifest.embedding else _stops(stops)}"
    sections = [
        _front_matter(manifest, license_id),
        f"# {manifest.name}\n\n{_introduction(manifest)}",
        f"## Inside\n\n{inside}\n\n{_roles(manifest)}\n\n{_notes(manifest)}{_files(manifest)}",
        f"## Measured\n\n{_measured(manifest)}",
        f"## Use\n\n{_use(manifest)}",
        f"## Licence\n\n{_licence(license_id, list(manifest.files))}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(manifest: Manifest, license_id: str | None) -> str:
    genai = [] if manifest.task is Task.EMBEDDING else ["onnxruntime-genai"]
    tags = ["onnx", "onnxruntime", *genai, "thinkport", manifest.model.family, manifest.recipe.precision]
    lines = ["---", "library_name: onnxruntime", f"pipeline_tag: {_PIPELINES[manifest.task]}"]
    if license_id is not None:
        lines.append(f"license: {json.dumps(license_id)}")
    if _on_the_hub(manifest):
        lines.append(f"base_model: {json.dumps(manifest.source.id)}")
        if manifest.recipe.precision != "fp32":
            lines.append("base_model_relation: quantized")
    return "\n".join([*lines, "tags:", *(f"  - {json.dumps(tag)}" for tag in tags), "---"])


def _on_the_hub(manifest: Manifest) -> bool:
    """Whether the checkpoint came from the Hub: only then a commit is recorded."""
    return manifest.source.revision is not None


def _introduction(manifest: Manifest) -> str:
    source = f"`{manifest.source.id}`"
    if _on_the_hub(manifest):
        source += f" at revision `{manifest.source.revision}`"
    if manifest.source.adapter is not None:
        source += f" with the adapter `{manifest.source.adapter}` merged"
    return (
        f"{source} as an ONNX artifact, made by thinkport {manifest.tools['thinkport']} "
        f"on {manifest.created[:10]}: recipe `{manifest.recipe.name}` ({manifest.recipe.precision}), "
        f"{manifest.recipe.bits_per_weight:.2f} bits a weight, scales counted. "
        f"The weights come from a checkpoint in {manifest.source.dtype} and were not trained further."
    )


def _shape(manifest: Manifest) -> str:
    model = manifest.model
    return (
        f"A {model.family} model: {model.layers} layers, hidden size {model.hidden_size}, "
        f"{model.mlps}, {model.attention_heads} heads and {model.kv_heads} KV heads of "
        f"{model.head_dim}, vocabulary {model.vocab_size:,}, context {model.context_length:,} tokens, "
        f"{'no' if manifest.embedding else 'tied' if model.tied_embeddings else 'separate'} "
        f"{'output weights: it gives hidden states' if manifest.embedding else 'embedding and output weights'}."
    )


def _stops(stops: Sequence[StopToken]) -> str:
    named = ", ".join(f"`{stop.token or stop.id}` (named by {', '.join(stop.named_by)})" for stop in stops)
    return f" A reply ends at {named}." if named else ""


def _table(rows: Iterable[Mapping[str, str]]) -> str:
    """A Markdown table of rows by column; all columns but the first are right-aligned."""
    rows = list(rows)
    lines = [list(rows[0]), ["---", *["---:"] * (len(rows[0]) - 1)], *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _roles(manifest: Manifest) -> str:
    table = _table(
        {
            "role": role,
            "bits": str(stored.bits),
            "group": str(stored.group_size or "-"),
            "weights": f"{stored.weights:,}",
            "bits a weight": f"{stored.bits_per_weight:.2f}",
        }
        for role, stored in manifest.recipe.roles.items()
    )
    found = {role: stored.rounded_plainly for role, stored in manifest.recipe.roles.items() if stored.rounded_plainly}
    notes = [
        f"Of {role}, {count} tensors were rounded without calibration: hardly any token of its texts reached them."
        for role, count in found.items()
    ]
    return "\n\n".join([table, *notes])


def _notes(manifest: Manifest) -> str:
    """What else was done to weights."""
    return "".join(f"{note[:1].upper()}{note[1:]}.\n\n" for note in manifest.recipe.notes)


def _files(manifest: Manifest) -> str:
    graphs = {graph.file: _graph(graph) for graph in manifest.graphs}
    graphs |= {one.native.graph.file: f"`{one.file}` for thinkport-kernels" for one in manifest.graphs if one.native}
    graphs |= {genai_graph_name(graph.file): f"`{graph.file}` for onnxruntime-genai" for graph in manifest.graphs}
    return _table(
        {"file": f"`{name}`{f' ({graphs[name]})' if name in graphs else ''}", "bytes": f"{record.bytes:,}"}
        for name, record in sorted(manifest.files.items())
        if name != CARD_NAME
    )


def _graph(graph: Graph) -> str:
    where = f"{graph.providers[0]} of ONNX Runtime {graph.onnxruntime_floor} or newer"
    norms = ", norms spelled out" if graph.plain_norms else ""
    return f"{where}: {graph.nodes} nodes in {graph.activations}, {graph.kv.dtype} KV cache{norms}"


def _measured(manifest: Manifest) -> str:
    if manifest.certificate is None:
        return "Nothing was measured: the artifact was exported without a certificate."
    certificate = manifest.certificate
    again = certificate.command or "thinkport verify . --checkpoint CHECKPOINT"
    if certificate.vectors:
        rows = "\n".join(f"- `{figure.graph}`: {vector_words(figure)}" for figure in certificate.vectors)
        return (
            "Cosine similarities of each graph's embeddings with those of the checkpoint in float32, at their full "
            f"width, all on the CPU:\n\n{rows}\n\n`{again}` measures them again, with the checkpoint at hand."
        )
    scores = "".join(f"- `{figure.graph}`: {score_words(figure)}\n" for figure in certificate.scores or ())
    scores = scores and f"Scores of documents for queries, against the checkpoint's in float32:\n\n{scores}\n"
    table = _table(
        {
            "graph": f"`{figure.graph}`",
            "verdict": str(verdict_of_graph(figure)),
            "positions": str(figure.tokens),
            "mean KL": f"{figure.kl_mean:.4g}",
            "with 95 % confidence": bounds(figure),
            "95th percentile": f"{figure.kl_p95:.4g}",
            "largest": f"{figure.kl_max:.4g}",
            "same top token": f"{figure.top1_agreement:.1%}",
            "in top 5": f"{figure.top5_agreement:.1%}",
            "correlation": f"{figure.correlation:.3f}",
            "perplexity": perplexity_text(figure.perplexity),
            "greedy": f"{figure.greedy_tokens} of {figure.greedy_asked}" if figure.greedy_tokens is not None else "-",
        }
        for figure in certificate.figures
    )
    warning = f"**Warning:** {certificate.warning}.\n\n" if certificate.warning else ""
    return (
        f"**{verdict_line(certificate)}**: {_MEANINGS}\n\n"
        f"{warning}{scores}The table compares each graph's next-token distribution with the checkpoint's in float32, "
        f"on the texts in `{certificate.goldens}`, on longer texts and on replies that the first graph drew itself. KL "
        "divergence is in nats, and the correlation is that of logits. Perplexity is the graph's, and in brackets the "
        "checkpoint's. Greedy counts the tokens that both choose before the first difference."
        f"{_fewer(certificate)}{_where(manifest, certificate)}\n\n{table}\n\n"
        f"{_groups(certificate)}"
        f"`{again}` measures these figures again, with the checkpoint at hand. `thinkport verify .` needs none: it "
        "holds a machine's logits against the checkpoint's likeliest tokens and a sample of its logits, with `--full` "
        "over all positions of each graph."
    )


def _groups(certificate: Certificate) -> str:
    """The first graph's figures by kind of text and by language."""
    figure = certificate.figures[0]
    groups = {**(figure.by_kind or {}), **(figure.by_language or {})}
    if not groups:
        return ""
    table = _table(
        {
            "texts": name,
            "verdict": group_verdict(found),
            "positions": str(found.tokens),
            "mean KL": f"{found.kl_mean:.4g}",
            "with 95 % confidence": bounds(found),
            "same top token": f"{found.top1_agreement:.1%}",
            "perplexity": perplexity_text(found.perplexity),
        }
        for name, found in groups.items()
    )
    return f"`{figure.graph}` by kind of text and by language:\n\n{table}\n\n"


def _fewer(certificate: Certificate) -> str:
    """Why some graphs have fewer positions; empty if none has."""
    if not any(figure.prompts for figure in certificate.figures):
        return ""
    return (
        " The other graphs answer fewer texts, enough to tell whether they compute the same: compare rows with equal "
        "numbers of positions."
    )


def _where(manifest: Manifest, certificate: Certificate) -> str:
    """Which graphs were changed for the measurement, and what figures from the CPU do not show of another provider."""
    figures = {figure.graph: figure for figure in certificate.figures}
    changes: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if figure.changed:
            changes.setdefault(figure.changed, []).append(f"`{name}`")
    changed = "".join(f" {', '.join(names)}: run with {how}." for how, names in changes.items())
    elsewhere = [graph for graph in manifest.graphs if graph.file in figures]
    elsewhere = [graph for graph in elsewhere if graph.providers[0] != figures[graph.file].provider]
    if not elsewhere:
        return changed
    return (
        f" All were measured on the CPU, where {', '.join(f'`{graph.file}`' for graph in elsewhere)} ran too: that "
        f"shows what a graph computes, and nothing of another device's arithmetic or speed.{changed}"
    )


def _use(manifest: Manifest) -> str:
    graph = manifest.graphs[0]
    thinking = " --think" if manifest.thinking is not None and manifest.task is Task.CHAT else ""
    genai = "" if manifest.task is Task.EMBEDDING else _genai(manifest, graph)
    return f"""With thinkport and its extra `{graph.target}`, in this folder:

```sh
{_COMMANDS[manifest.task]}{thinking}
```

{genai}With plain ONNX Runtime, the graph is `{graph.file}`;
`thinkport.json` describes what it takes:

```python
import onnxruntime

options = onnxruntime.SessionOptions()
options.enable_mem_pattern = {graph.memory_pattern}
session = onnxruntime.InferenceSession("{graph.file}", options, providers={graph.providers})
print([(tensor.name, tensor.type, tensor.shape) for tensor in session.get_inputs()])
```"""


def _genai(manifest: Manifest, graph: Graph) -> str:
    """How onnxruntime-genai opens the folder."""
    return f"""With onnxruntime-genai (`pip install {target(graph.target).genai_package}`):

```python
import json
from collections.abc import Sequence
import onnxruntime_genai as og

model = og.Model(".")
tokenizer = og.Tokenizer(model)
messages = json.dumps([{{"role": "user", "content": "Why is the sky blue?"}}])
generator = og.Generator(model, og.GeneratorParams(model))
generator.append_tokens(tokenizer.encode(tokenizer.apply_chat_template(messages, add_generation_prompt=True)))
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))
```

{_one_turn(manifest)}{_overlays(manifest)}"""


def _overlays(manifest: Manifest) -> str:
    """How to open another graph with onnxruntime-genai."""
    overlays = {graph.file: name for graph in manifest.graphs if (name := overlay_name(graph.file)) in manifest.files}
    if not overlays:
        return ""
    table = _table({"graph": f"`{file}`", "overlay": f"`{name}`"} for file, name in overlays.items())
    return f"""Another graph of this folder opens with its overlay, which names file, inputs and provider together. One
without the others may run and give wrong text:

```python
config = og.Config(".")
config.overlay(open("{next(iter(overlays.values()))}", encoding="utf-8").read())
model = og.Model(config)
```

{table}

"""


def _one_turn(manifest: Manifest) -> str:
    """The graphs for which onnxruntime-genai needs a new generator for every turn."""
    once = [graph.file for graph in manifest.graphs if not graph.several_tokens_over_past]
    if not once:
        return ""
    return (
        f"{', '.join(f'`{file}`' for file in once)}: begin a new generator for every turn. There, more than one token "
        "appended to a sequence that has begun gives wrong text without an error.\n\n"
    )


def _licence(license_id: str | None, names: list[str]) -> str:
    texts = ", ".join(f"`{name}`" for name in sorted(names) if name.startswith(("LICENSE", "NOTICE")))
    if license_id is None and not texts:
        return "The weights keep the licence of the checkpoint that they come from, which named none: ask its authors."
    kept = "The weights keep the licence of the checkpoint that they come from"
    named = f"{kept}: `{license_id}`." if license_id is not None else f"{kept}."
    return f"{named} Its text is in this folder: {texts}." if texts else named
