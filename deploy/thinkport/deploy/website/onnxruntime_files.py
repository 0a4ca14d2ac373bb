"""Names of onnxruntime-web's files, and the version that the engine was tested with. Needs nothing installed."""

from typing import Literal

VERSION = "1.30.0"
# WebAssembly's build has the CPU's kernels, WebGPU's does not: each is needed.
SCRIPTS = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
)
BINARIES: dict[Literal["webgpu", "wasm"], str] = {
    "webgpu": "ort-wasm-simd-threaded.asyncify.wasm",
    "wasm": "ort-wasm-simd-threaded.wasm",
}
