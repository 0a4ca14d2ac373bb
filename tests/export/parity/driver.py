"""Runs a decoder graph on plain ONNX Runtime, without thinkport's own runtime, so that a graph is judged alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from thinkport.runtime.machine.plugin_device import PluginDevice

# What lies in a cache beyond the tokens seen must never be read.
POISON: dict[str, np.generic] = {
    "tensor(float)": np.float32(1e30),
    "tensor(float16)": np.float16(6e4),
    "tensor(int8)": np.int8(127),
}
KINDS = {value.dtype.name: kind for kind, value in POISON.items()}


class Driver:
    """One graph with its cache, on the CPU or on a plugin's device; `lengths` are the tokens that each row holds."""

    def __init__(
        self,
        artifact: Path,
        *,
        batch: int = 1,
        capacity: int = 512,
        file: str = "cpu.onnx",
        device: PluginDevice | None = None,
        profile: Path | None = None,
    ) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.enable_profiling = profile is not None
        options.profile_file_prefix = str(profile)
        path = artifact / file
        self.device = device
        cpu = ["CPUExecutionProvider"]
        self.session = device.open(str(path), options) if device else ort.InferenceSession(path, options, providers=cpu)
        past = [value for value in self.session.get_inputs() if value.name.startswith("past_key_values.")]
        self.fused = any(node in ("GroupQueryAttention",) for node in _ops(artifact / file))
        kept = capacity if self.fused else 0
        self.cache = {
            value.name: np.full((batch, value.shape[1], kept, value.shape[3]), POISON[value.type]) for value in past
        }
        self.lengths = np.zeros(batch, np.int64)
        self.columns = 0  # of an unfused cache, padding included

    def step(self, ids: NDArray[np.int64], *, new: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Feed ids (batch, sequence), `new` of each row being real and the rest right padding; all rows' logits."""
        new = np.full(len(ids), ids.shape[1]) if new is None else new
        mask = self._mask(ids.shape[1], new)
        feeds = {"input_ids": ids, "attention_mask": mask, "logits_to_keep": np.array([ids.shape[1]])}
        if "position_ids" in {value.name for value in self.session.get_inputs()}:
            feeds["position_ids"] = self.lengths[:, None] + np.arange(ids.shape[1])
        logits = self._run_in_place(feeds) if self.fused else self._run(feeds)
        self.lengths = self.lengths + new
        return logits

    def _mask(self, sequence: int, new: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.fused:
            total = int((self.lengths + new).max())
            return (np.arange(total)[None] < (self.lengths + new)[:, None]).astype(np.int64)
        past = getattr(self, "past_mask", np.zeros((len(new), 0), np.int64))
        self.past_mask = np.concatenate([past, (np.arange(sequence)[None] < new[:, None]).astype(np.int64)], axis=1)
        return self.past_mask

    def _run(self, feeds: dict[str, NDArray]) -> NDArray[np.float32]:
        names = [value.name for value in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(None, feeds | self.cache), strict=True))
        self.cache = {name: found[name.replace("past_key_values", "present")] for name in self.cache}
        return found["logits"]

    def _run_in_place(self, feeds: dict[str, NDArray]) -> NDArray[np.float32]:
        binding = self.session.io_binding()
        values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in feeds.items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name, array in self.cache.items():
            value = array if isinstance(array, ort.OrtValue) else self._placed(array)
            self.cache[name] = value
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), value)
        binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(binding)
        shapes = [value.shape() for value in binding.get_outputs()]
        return next(v.numpy() for v, s in zip(binding.get_outputs(), shapes, strict=True) if len(s) == 3)

    def grow(self, capacity: int) -> None:
        """Move the cache to buffers for so many tokens."""
        for name, held in self.cache.items():
            old = held if isinstance(held, np.ndarray) else self._read(held)
            shape = (*old.shape[:2], capacity, old.shape[3])
            new = np.full(shape, POISON[KINDS[old.dtype.name]])
            new[:, :, : old.shape[2]] = old
            self.cache[name] = new

    def _placed(self, array: NDArray) -> ort.OrtValue:
        """A buffer with these values, where the graph takes its cache."""
        value = ort.OrtValue.ortvalue_from_numpy(array)
        if self.device is None:
            return value
        placed = ort.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, memory_info=self.device.memory)
        with self.device.turn:
            ort.copy_tensors([value], [placed], None)
        return placed

    def _read(self, value: ort.OrtValue) -> NDArray:
        if self.device is None:
            return value.numpy()
        dtype = POISON[value.data_type()].dtype
        held = ort.OrtValue.ortvalue_from_shape_and_type(value.shape(), dtype)
        with self.device.turn:
            ort.copy_tensors([value], [held], None)
        return held.numpy()


def _ops(graph: Path) -> set[str]:
    import onnx

    return {node.op_type for node in onnx.load(graph, load_external_data=False).graph.node}


def relative(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """max|Δ| / max|wanted|, printed too."""
    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    print(f"largest difference {error:.1e} of the largest logit")
    return error
