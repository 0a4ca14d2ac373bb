"""A graph's own logits for a prompt, the way the runtime would run it: prefill in chunks, then token by token.

Knows the runtime's sessions and lanes. Must not know the checkpoint.
"""

from collections.abc import Iterator
from pathlib import Path

from thinkport.export.certify.reference import Ids, Logits
from thinkport.runtime.manifest import Graph, ModelShape
from thinkport.runtime.ort import AUTO, choose_graph, import_onnxruntime
from thinkport.runtime.session import LaneSource, Session

CHUNK = 16  # so that a short prompt too is prefilled over a past
DECODED = 8  # tokens at the end of a prompt that go one at a time


def open_session(folder: Path, graph: Graph, model: ModelShape) -> Session:
    """The graph in the installed ONNX Runtime; no manifest is needed.

    Raises:
        MissingExtraError: no ONNX Runtime is installed.
        ArtifactError: the installed one can't run the graph.
    """
    ort = import_onnxruntime(graph.target)
    chosen = choose_graph([graph], AUTO, ort.get_available_providers(), ort.__version__)
    return Session(ort, folder, chosen, model)


def graph_logits(session: LaneSource, ids: Ids, decoded: int = DECODED) -> Iterator[tuple[int, Logits]]:
    """(position of the first row, logits (tokens, vocabulary)) over a prompt, each valid until the next.

    The last `decoded` tokens go one at a time.
    """
    lane = session.open_lane()
    chunk = min(CHUNK, session.prefill_chunk) if session.several_tokens_over_past else len(ids)
    for start, stop in steps(len(ids), chunk, decoded):
        yield start, lane.step(ids[None, start:stop], keep=stop - start)[0]


def steps(tokens: int, chunk: int, decoded: int = DECODED) -> Iterator[tuple[int, int]]:
    """(start, stop) of every step over a prompt: chunks, then single tokens."""
    prefilled = max(1, tokens - decoded)
    for start in range(0, prefilled, chunk):
        yield start, min(start + chunk, prefilled)
    for start in range(prefilled, tokens):
        yield start, start + 1
