"""Which graphs of an artifact a browser runs, and what a device needs for each. The engine has the same rules."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thinkport.deploy.kernels.graph_file import read_graph
from thinkport.deploy.website.onnxruntime_files import BINARIES
from thinkport.runtime.artifact.manifest import Graph, Manifest, kv_bytes
from thinkport.runtime.errors import InputError

PROVIDERS: dict[str, Literal["webgpu", "wasm"]] = {
    "WebGpuExecutionProvider": "webgpu",
    "CPUExecutionProvider": "wasm",
}
_WEBASSEMBLY = 4 << 30  # bytes that its memory may have
_PROGRAM = 256 << 20  # of them that neither weights nor KV cache take
# Bytes of a tab beside weights and KV cache, and how often it holds each: WebAssembly copies the KV cache in and out.
# Measured in Chromium; on WebGPU with the process that drives the GPU, over a software one.
_TAB = {"wasm": 250 << 20, "webgpu": 600 << 20}
_WEIGHTS = {"wasm": 1.2, "webgpu": 1.4}
_COPIES = {"wasm": 3, "webgpu": 1}


@dataclass(frozen=True, kw_only=True)
class BrowserGraph:
    """A graph that browsers run.

    `weights` maps its files of weights to the bytes that it reads of each; `largest` is its largest tensor in bytes.
    `memory` is about how many bytes a tab takes with a conversation of `tokens`.
    """

    graph: Graph
    provider: Literal["webgpu", "wasm"]
    weights: dict[str, int]
    largest: int
    memory: int
    tokens: int

    @property
    def binary(self) -> str:
        """The file of onnxruntime-web that runs it, packed."""
        return f"{BINARIES[self.provider]}.gz"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A graph that could run in browsers, but not with conversations of the length that is asked for.

    `fits` is the most tokens with which it could be kept; 0 where its weights alone are too much.
    """

    provider: Literal["webgpu", "wasm"]
    graph: str
    reason: str
    fits: int

    @property
    def told(self) -> str:
        """The reason, and what a site's maker can do."""
        return f"{self.reason}; {f'--context {self.fits} keeps it' if self.fits else 'no --context keeps it'}"


def browser_graphs(folder: Path, manifest: Manifest, context: int) -> tuple[list[BrowserGraph], list[LeftOut]]:
    """The graphs of an artifact that browsers run, in the order in which they are tried, and those that are left out.

    WebGPU's come first, then WebAssembly's. `context` is the most tokens of a conversation.

    Raises:
        InputError: there is none, saying why.
        ArtifactError: a graph can't be read.
    """
    tokens = min(context, manifest.model.context_length)
    found = [_described(folder, manifest, graph, tokens) for graph in _own(manifest)]
    left_out = [
        LeftOut(
            provider=one.provider,
            graph=one.graph.file,
            reason=f"with a conversation of {tokens:,} tokens it takes {_heap(manifest, one) / 1e9:.1f} GB, and "
            f"WebAssembly's memory ends at {_WEBASSEMBLY / 1e9:.1f} GB",
            fits=_fits(manifest, one),
        )
        for one in found
        if one.provider == "wasm" and _heap(manifest, one) > _WEBASSEMBLY
    ]
    usable = [one for one in found if one.graph.file not in {graph.graph for graph in left_out}]
    if found and not usable:
        raise InputError(
            f"{manifest.name} has weights of {sum(found[0].weights.values()) / 1e9:.1f} GB and no graph for WebGPU: "
            f"{left_out[0].told}. Another way is an export with --target cpu --target webgpu, or a smaller model"
        )
    if not usable:
        files = ", ".join(graph.file for graph in manifest.graphs)
        raise InputError(
            f"{manifest.name} has no graph that a browser runs, only {files}: export it again with --target cpu, "
            "and --target webgpu for graphics cards"
        )
    return usable, left_out


def _own(manifest: Manifest) -> list[Graph]:
    """WebGPU's graphs, and the best of the CPU's: the first, which has the smallest KV cache."""
    fit = [graph for graph in manifest.graphs if graph.providers[0] in PROVIDERS and _serves_conversations(graph)]
    gpu = [graph for graph in fit if PROVIDERS[graph.providers[0]] == "webgpu"]
    return gpu + [graph for graph in fit if PROVIDERS[graph.providers[0]] == "wasm"][:1]


def _heap(manifest: Manifest, one: BrowserGraph) -> int:
    """Bytes of WebAssembly's memory at the end of a conversation: past and present are both in it."""
    return sum(one.weights.values()) + 2 * one.tokens * kv_bytes(manifest.model, one.graph.kv) + _PROGRAM


def _fits(manifest: Manifest, one: BrowserGraph) -> int:
    """The most tokens of a conversation for which that memory suffices, in whole hundreds."""
    left = _WEBASSEMBLY - _PROGRAM - sum(one.weights.values())
    return max(0, left // (2 * kv_bytes(manifest.model, one.graph.kv))) // 100 * 100


def _serves_conversations(graph: Graph) -> bool:
    kv = graph.kv
    plain = graph.fused and not graph.plain_norms
    return plain and kv.in_place and not kv.token_scales and graph.several_tokens_over_past


def _described(folder: Path, manifest: Manifest, graph: Graph, tokens: int) -> BrowserGraph:
    external = read_graph(folder / graph.file).external.values()
    weights = {
        file: sum(size for of, size in external if of == file) for file in sorted({file for file, _ in external})
    }
    provider = PROVIDERS[graph.providers[0]]
    cache = _COPIES[provider] * tokens * kv_bytes(manifest.model, graph.kv)
    memory = int(_WEIGHTS[provider] * sum(weights.values())) + _TAB[provider] + cache
    return BrowserGraph(
        graph=graph,
        provider=provider,
        weights=weights,
        largest=max((size for _, size in external), default=0),
        memory=memory,
        tokens=tokens,
    )
