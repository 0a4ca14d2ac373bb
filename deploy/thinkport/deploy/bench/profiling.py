"""Where a decode step's time goes: ONNX Runtime's own profile of a graph, by operator, by role and shape, by layer."""

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from thinkport.deploy.bench.contender import BenchPlan
from thinkport.deploy.bench.workers.artifact_worker import noise
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.machine.known_files import KnownFiles
from thinkport.runtime.providers.kernels import Kernels
from thinkport.runtime.providers.ort import choose_candidate, import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins
from thinkport.runtime.providers.trials import finish_trials

_KERNEL, _STEP = "_kernel_time", "model_run"
_LAYER = re.compile(r"layers\.(\d+)\.")
# Nodes that passes or the tracer call otherwise than the checkpoint calls their weights.
_ROLES = {
    "self_attn.v_center": "self_attn.qkv_proj",
    "self_attn.o_center": "self_attn.o_proj",
    "node_embedding": "embed",
}
_OF_HEAD = re.compile(r"node_(linear|matmul)\w*")


@dataclass(frozen=True, kw_only=True)
class Share:
    """The milliseconds a step that a group of nodes takes, and the number of its nodes."""

    nodes: int
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One decode step at a context: its whole time, and the nodes' times by operator, by role and shape, and by layer.

    A role is what the checkpoint calls a node's weights, without the layer, such as `mlp.down_proj`, and the operator
    where it is neither a product nor a norm; its shape is the last dimension of its input and of its output.
    The rest of `step_ms` is ONNX Runtime's own work between nodes, profiling included.
    """

    context: int
    step_ms: float
    by_op: dict[str, Share]
    by_role: dict[str, Share]
    by_layer: dict[str, Share]


def profile(artifact: Path, plan: BenchPlan, context: int) -> Profile:
    """Decode the plan's steps over a cache of `context` tokens of noise.

    Raises:
        ArtifactError: the artifact is broken or doesn't run here.
        InputError: the context is longer than the model's, or the plan's provider can't be had here.
    """
    manifest = read_manifest(artifact)
    KnownFiles().check(artifact, manifest)  # as a load does: sizes alone don't tell a damaged file
    ort = import_onnxruntime("cpu")
    available, version = ort.get_available_providers(), ort.__version__
    best = finish_trials(artifact, plan.provider).fastest
    graphs = [graph for graph in manifest.graphs if best is None or graph.file == best.graph]
    kernels = Kernels.here(plan.kernels)
    chosen = choose_candidate(graphs, plan.provider, available, version, Plugins(ort), kernels)
    graph = chosen.graph
    with tempfile.TemporaryDirectory() as folder:

        def profiled() -> Any:
            options = ort.SessionOptions()
            options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
            return options

        # Session uses the module's names only, so that an object that has them does.
        spying: Any = SimpleNamespace(**{**vars(ort), "SessionOptions": profiled})
        given = (spying, artifact, graph, manifest.model, plan.threads)
        session = Session(*given, lambda: None, *chosen.place)
        lane = session.open_lane()
        lane.write(noise(manifest.model, graph, context))
        for token in range(plan.steps + 1):
            lane.step(np.array([[token]], np.int64))
        events = json.loads(Path(session.inner.end_profiling()).read_text(encoding="utf-8"))
    return summed(events, context=context)


def summed(events: Iterable[Mapping[str, Any]], *, context: int) -> Profile:
    """Add a profile's events up, without the first step, which warms up."""
    runs = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == _STEP)[1:]
    nodes = [e for e in events if e.get("name", "").endswith(_KERNEL) and e["ts"] >= runs[0][0]]
    by_op: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    by_role: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    by_layer: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for node in nodes:
        by_op[node["args"]["op_name"]].append(node)
        by_role[_role(node)].append(node)
        by_layer[_place(node["name"].removesuffix(_KERNEL))].append(node)
    return Profile(
        context=context,
        step_ms=sum(end - start for start, end in runs) / len(runs) / 1000,
        by_op=_largest_first(by_op, len(runs)),
        by_role=_largest_first(by_role, len(runs)),
        by_layer={place: _share(found, len(runs)) for place, found in by_layer.items()},
    )


def _place(node: str) -> str:
    """The layer of a node by its name, or the part of the model outside the layers."""
    layer = _LAYER.search(node)
    return f"layer {layer[1]}" if layer else node.rpartition(".")[0] or "other"


def _role(node: Mapping[str, Any]) -> str:
    """What a node is for and its shape, such as `mlp.down_proj 3072 → 1024`, alike in all layers."""
    name, op = node["name"].removesuffix(_KERNEL), node["args"]["op_name"]
    place = _LAYER.sub("", name).rpartition(".")[0]
    if _OF_HEAD.fullmatch(place):
        place = "lm_head"
    role = _ROLES.get(place, place) or "other"
    shapes = [_width(node["args"].get(f"{side}_type_shape")) for side in ("input", "output")]
    shape = " → ".join(dict.fromkeys(str(width) for width in shapes if width is not None))
    told = role if "MatMul" in op or op.endswith("Normalization") else f"{role} {op}"
    return f"{told} {shape}".strip()


def _width(tensors: Sequence[Mapping[str, Sequence[int]]] | None) -> int | None:
    """The last dimension of the first tensor; None where it has none."""
    shape = next(iter(tensors[0].values()), ()) if tensors else ()
    return shape[-1] if shape else None


def _largest_first(groups: Mapping[str, list[Mapping[str, Any]]], steps: int) -> dict[str, Share]:
    shares = {name: _share(found, steps) for name, found in groups.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1].milliseconds))


def _share(nodes: list[Mapping[str, Any]], steps: int) -> Share:
    milliseconds = sum(node["dur"] for node in nodes) / steps / 1000
    return Share(nodes=len({node["name"] for node in nodes}), milliseconds=milliseconds)
