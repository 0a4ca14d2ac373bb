"""What a graph itself gives, in float32 on the CPU, so that any device can be held against the graph.

Knows graphs and one prompt. Must not know the checkpoint: how near the graph is to that is measured elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from thinkport.export.certify.cpu_session import CpuSession, Rounding, float32_session, roundings
from thinkport.export.certify.goldens import golden
from thinkport.export.certify.judging import check_finite
from thinkport.export.certify.measured_text import MeasuredText
from thinkport.export.reference.logits import Ids, Logits
from thinkport.export.trace import names
from thinkport.runtime.artifact.goldens import Distance, OwnGolden
from thinkport.runtime.artifact.manifest import Graph, ModelShape, Native
from thinkport.runtime.providers.golden_check import Span, stepped_rows
from thinkport.runtime.providers.own_check import BRIEF, KEPT, own_distance, shortened

PREFILLED, CONTINUED, DECODED = 200, 40, 32  # tokens
_STEP = 144  # tokens of a step here: logits follow from the ids, however they are stepped, and few steps are fast
# A bfloat16 graph runs on the CPU in float32 only. Its numbers are rounded by 2^-9 and less; float16's are by 2^-12 and
# less, which costs 5.5e-4 (measured over 3 layers).
_BFLOAT16 = Distance(2**-8, 0.0)
_NONE = Distance(0.0, 0.0)


def own_golden(
    folder: Path, graph: Graph, model: ModelShape, loaded: CpuSession, prompts: Sequence[MeasuredText], sample: Ids
) -> OwnGolden:
    """A graph's own golden over the start of the longest prompt; `loaded` is the graph as the CPU runs it.

    Raises:
        ArtifactError: the graph fails.
        CertificateError: its logits are not numbers.
        GraphError: it can't be made to compute in float32.
    """
    prompt = own_prompt(max(prompts, key=lambda one: len(one.ids)))
    likeliest = any(spec.name == names.LOGITS for spec in graph.outputs)
    with float32_session(folder, graph, model) as exact:
        logits = _logits(exact or loaded, graph, prompt)
    prefilled, continued = _parts(len(prompt.ids))
    found = OwnGolden(
        golden=golden(prompt, logits, sample, likeliest=likeliest),
        prefilled=prefilled,
        continued=continued,
        spread=_NONE,
        float_spread=_NONE,
    )
    products = _spread(folder, graph, model, loaded, found, Rounding.PRODUCTS)
    half = _BFLOAT16 if graph.activations == "bfloat16" else _spread(folder, graph, model, loaded, found, Rounding.HALF)
    both = Distance(float(np.hypot(products.error, half.error)), products.divergence + half.divergence)
    return replace(found, spread=both, float_spread=half)


def natives_own(graphs: Sequence[Graph], own: Mapping[str, OwnGolden]) -> dict[str, OwnGolden]:
    """What native graphs are held against, by their files: `own` of their parents, or of others."""
    return {native.graph.file: own[_exact(graphs, graph, native).file] for graph in graphs if (native := graph.native)}


def _exact(graphs: Sequence[Graph], parent: Graph, native: Native) -> Graph:
    """The graph whose own golden a native one is held against: its parent, or where it rounds the KV cache in another
    way than that, the one that does not round it.
    """
    if not native.graph.kv.token_scales:
        return parent
    alike = (one for one in graphs if one.target == parent.target and one.kv.dtype == "float32")
    return next(alike, parent)


def _spread(
    folder: Path, graph: Graph, model: ModelShape, loaded: CpuSession, own: OwnGolden, kept: Rounding
) -> Distance:
    """How far one kind of rounding takes a graph from its own golden; none where it does not round so."""
    has = roundings(folder, graph, model)
    if kept not in has:
        return _NONE
    # The CPU is slow in float16: fewer tokens are enough to measure how it rounds.
    asked = own if kept is Rounding.PRODUCTS else shortened(own)
    if has == {kept}:
        return own_distance(loaded.session, asked, loaded.run)
    with float32_session(folder, graph, model, but=kept) as alone:
        assert alone is not None, "the other rounding is taken away"
        return own_distance(alone.session, asked, alone.run)


def own_prompt(long: MeasuredText) -> MeasuredText:
    """The start of a text, with the positions at which graphs are compared: some at the end of each kind of step."""
    tokens = min(len(long.ids), PREFILLED + CONTINUED + DECODED)
    prefilled, continued = _parts(tokens)
    brief = range(max(0, min(BRIEF, prefilled) - 16), min(BRIEF, prefilled) + 12, 2)
    ends = (range(max(0, end - KEPT), end, 2) for end in (prefilled, prefilled + continued))
    rows = {row for kept in (brief, *ends, range(prefilled + continued, tokens, 2)) for row in kept} | {tokens - 1}
    kept = np.array(sorted(row for row in rows if row < tokens), np.int64)
    return MeasuredText(name=long.name, ids=long.ids[:tokens], rows=kept)


def _parts(tokens: int) -> tuple[int, int]:
    """How many of so many tokens are prefilled, and how many go over these at once; the others go one by one."""
    decoded, continued = min(DECODED, tokens // 4), min(CONTINUED, tokens // 5)
    return tokens - continued - decoded, continued


def _logits(loaded: CpuSession, graph: Graph, prompt: MeasuredText) -> Logits:
    """The graph's logits (rows, vocabulary) at the prompt's rows."""

    def spans(one: MeasuredText) -> Iterator[Span]:
        tokens = len(one.ids)
        return ((start, min(start + _STEP, tokens)) for start in range(0, tokens, _STEP))

    rows = []
    for _, _, found in stepped_rows(loaded.session, [prompt], spans, loaded.run):
        check_finite(graph, prompt.name, found)
        rows.append(found.copy())
    return np.stack(rows)
