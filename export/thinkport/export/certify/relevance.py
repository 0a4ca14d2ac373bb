"""Certifying a reranker: its scores of some documents for some queries against the checkpoint's.

Knows rows of logits and which two of their ids answer. The pairs were written for this.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from thinkport.export.certify.cpu_session import CpuSession
from thinkport.export.certify.judging import check_finite
from thinkport.export.certify.measured_text import CHUNK, MeasuredText
from thinkport.export.reference.logits import Logits
from thinkport.runtime.artifact.certificate import ScoreFigure
from thinkport.runtime.artifact.manifest import Graph, Reranking
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.providers.golden_check import golden_rows
from thinkport.runtime.text_ranking import pair_prompt, relevance

_DOCUMENTS = (
    "Yeast turns sugar into carbon dioxide, whose bubbles make the dough rise before it is baked.",
    "The night train to the coast leaves at ten and arrives shortly after seven in the morning.",
    "A sorted list is searched by halving: each comparison rules out half of what is left.",
    "Blumen auf dem Balkon brauchen im Hochsommer morgens und abends Wasser.",
)
_QUERIES = (
    "Why does bread dough rise?",
    "when does the night train arrive at the sea",
    "binary search",
    "Wie oft soll ich Balkonblumen im Sommer gießen?",
)


def ranked_pairs(tokenizer: Tokenizer, reranking: Reranking) -> list[MeasuredText]:
    """Every query with every document, compared behind the last token."""
    pairs = [
        pair_prompt(tokenizer, reranking, query, document, reranking.instruction)
        for query in _QUERIES
        for document in _DOCUMENTS
    ]
    return [
        MeasuredText(name=f"pair-{at:02}", ids=np.array(pair.ids, np.int64), rows=np.array([len(pair.ids) - 1]))
        for at, pair in enumerate(pairs)
    ]


def scores_compared(
    loaded: CpuSession,
    graph: Graph,
    pairs: Sequence[MeasuredText],
    expected: Mapping[str, Logits],
    reranking: Reranking,
) -> ScoreFigure:
    """The figure of a loaded graph; `expected` is the checkpoint's row of logits (vocabulary,) by a pair's name.

    Raises:
        ArtifactError: the graph fails.
        CertificateError: its logits are not numbers.
    """
    ours, theirs = [], []
    for pair, _, found in golden_rows(loaded.session, pairs, 0, loaded.run, chunk=CHUNK):
        check_finite(graph, pair.name, found)
        ours.append(relevance(expected[pair.name], reranking))
        theirs.append(relevance(found, reranking))
    apart = np.abs(np.subtract(ours, theirs))
    return ScoreFigure(
        graph=graph.file,
        pairs=len(pairs),
        error_mean=float(apart.mean()),
        error_max=float(apart.max()),
        in_order=float(np.mean([*_in_order(ours, theirs)])),
    )


def _in_order(ours: Sequence[float], theirs: Sequence[float]) -> Iterator[bool]:
    """Of each query's pairs of documents, whether both put the same one first."""
    size = len(_DOCUMENTS)
    for start in range(0, len(ours), size):
        for a, b in combinations(range(start, start + size), 2):
            yield (ours[a] > ours[b]) == (theirs[a] > theirs[b])
