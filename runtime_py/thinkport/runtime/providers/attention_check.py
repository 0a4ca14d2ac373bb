"""Whether attention alone is right on a device, head by head, for graphs that compute in float16.

A whole graph rounds so much in float16 that 1 % in one head does not show. Attention alone does not: its inputs are the
same numbers on the device and on the CPU, which computes it in float32. Knows sessions. Must not know what is done
about a fault.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import Graph, TensorSpec
from thinkport.runtime.engine.session import Lane, Session
from thinkport.runtime.errors import ArtifactError
from thinkport.runtime.machine.attention_probe import LOGITS, TOKENS, attention_graph, first_attention
from thinkport.runtime.providers.golden_check import Span
from thinkport.runtime.providers.ort import CPU

HALF = "float16"
PREFILLED, DECODED = 64, 8  # tokens that come first, and that go one by one; those between go over the first at once
# Measured on heads of 128: float16 rounds attention alone by 4e-4 on the CPU, 8e-4 on DirectML and 1e-3 on WebGPU.
MOST = 4e-3

Heads = NDArray[np.float64]


def attention_fault(errors: Heads) -> str | None:
    """What is wrong with errors of heads, in words; None where nothing is."""
    if errors.max() <= MOST:
        return None
    head = int(errors.argmax())
    return f"head {head} of its attention alone is off by {errors[head]:.2%}, expected at most {MOST:.2%}"


def attention_errors(session: Session, widest: int | None) -> Heads | None:
    """How far each head of a loaded graph's attention is from float32 in its worst kind of step, (heads,).

    That is the root of the mean squared difference over that of what is right. None where it can't be taken alone.
    `widest` is the most tokens of a step there, None where that is the graph's own affair.

    Raises:
        ArtifactError: the device can't run it.
        UnavailableError: the device has no room, or is lost.
    """
    found = first_attention((session.folder / session.graph.file).read_bytes())
    if found is None:
        return None
    graph, shape, several = session.graph, session.model, session.several_tokens_over_past
    exact = graph.model_copy(update={"providers": [CPU], "kv": graph.kv.model_copy(update={"dtype": "float32"})})
    spans = _spans(min(widest or session.prefill_chunk, PREFILLED) if several else PREFILLED, several=several)
    try:
        here = _attended(session, exact, attention_graph(found, shape, "float32", on_cpu=True), spans)
    except ArtifactError:  # what it is to be held against is more than this ONNX Runtime's CPU can do
        return None
    there = _attended(session, graph, attention_graph(found, shape, HALF), spans)
    errors: Heads = np.max([_error(one, right) for one, right in zip(there, here, strict=True)], axis=0)
    return errors


def _spans(width: int, *, several: bool) -> list[list[Span]]:
    """The steps of each kind: from nothing, over a past, one by one."""
    last = TOKENS - DECODED
    first = [(start, min(start + width, PREFILLED)) for start in range(0, PREFILLED, width)]
    over = [(start, min(start + width, last)) for start in range(PREFILLED, last, width)]
    single = [(at, at + 1) for at in range(last if several else PREFILLED, TOKENS)]
    return [first, over, single] if several else [first, single]


def _attended(session: Session, graph: Graph, model: bytes, kinds: Sequence[Sequence[Span]]) -> list[NDArray[Any]]:
    """What attention gives in each kind of step, (tokens, heads, head_dim), where a session is or on the CPU."""
    shape = session.model
    with closing(_opened(session, graph, model)) as probe:
        probe.prefill_chunk = PREFILLED  # so that a step is as wide as it is asked for
        lane = probe.open_lane()
        found = [np.concatenate([_step(lane, *span) for span in spans]) for spans in kinds]
        del lane
    return [one.reshape(-1, shape.attention_heads, shape.head_dim) for one in found]


def _step(lane: Lane, start: int, stop: int) -> NDArray[Any]:
    return np.array(lane.step(np.arange(start, stop, dtype=np.int64)[None], keep=stop - start)[0])


def _opened(session: Session, graph: Graph, model: bytes) -> Session:
    ort = cast("ModuleType", _Instead(session.ort, model))
    width = session.model.attention_heads * session.model.head_dim
    answer = TensorSpec(name=LOGITS, dtype="float32", shape=["batch", "rows", width])
    graph = graph.model_copy(update={"outputs": [answer, *graph.outputs[1:3]]})
    alone = session.model.model_copy(update={"layers": 1, "vocab_size": width})
    if graph.providers[0] == CPU:
        return Session(ort, session.folder, graph, alone)
    device = session.device and replace(session.device, ort=ort)
    return Session(ort, session.folder, graph, alone, device_id=session.device_id, device=device)


class _Instead:
    """ONNX Runtime, but that it loads one model in place of a graph's file."""

    def __init__(self, ort: ModuleType, onnx: bytes) -> None:
        self._ort, self._onnx = ort, onnx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ort, name)

    def InferenceSession(  # noqa: N802 - its name there
        self, model: str | bytes, *rest: Any, **others: Any
    ) -> Any:
        return self._ort.InferenceSession(self._onnx if isinstance(model, str) else model, *rest, **others)


def _error(found: NDArray[Any], right: NDArray[Any]) -> Heads:
    apart, power = (np.square(one.astype(np.float64)).mean(axis=(0, 2)) for one in (found - right, right))
    errors = np.sqrt(apart / power)
    return np.where(np.isfinite(errors), errors, np.inf)
