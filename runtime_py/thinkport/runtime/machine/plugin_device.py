"""A device that a plugin of ONNX Runtime lists: how sessions get there, and what its driver can do.

Knows ONNX Runtime's calls for plugins. Must not know which plugins there are, or what a graph computes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from thinkport.runtime.machine.one_node_model import one_node_model

Provider = str | tuple[str, dict[str, str]]
"""A provider's name, or name and options."""

_SILENT = 4  # a probe that fails is an answer, so ONNX Runtime logs nothing but fatal errors


@dataclass(frozen=True, kw_only=True, eq=False)
class PluginDevice:
    """One device of a plugin provider, the `number`-th that it lists.

    `plugin` is the plugin with its version, `software` says that a CPU computes what looks like a device, `discrete`
    that it is a card of its own; `driver` is the driver's version, None where it isn't known. `handle` is ONNX
    Runtime's OrtEpDevice. Whoever loads, runs, makes buffers or copies on the device holds `turn`, which all devices of
    a provider share and a thread may take twice.
    """

    ort: ModuleType
    provider: str
    plugin: str
    number: int
    name: str
    vendor: str
    software: bool
    driver: str | None
    handle: Any
    turn: AbstractContextManager[Any]
    discrete: bool = False

    def __str__(self) -> str:
        driver = f", driver {self.driver}" if self.driver else ""
        return f"{self.name} ({self.vendor}{driver})"

    @property
    def memory(self) -> Any:
        """The device's memory as ONNX Runtime takes it for a new buffer, an OrtMemoryInfo."""
        return self.handle.memory_info(self.ort.OrtDeviceMemoryType.DEFAULT)

    @cached_property
    def fault(self) -> str | None:
        """Why the driver can't start the device or computes nothing there, in its words; None where it works."""
        return self._probe("float32")

    @cached_property
    def float16(self) -> bool:
        """Whether it computes in float16, which WebGPU calls shader-f16.

        ONNX Runtime lists no such feature of a device (measured with 1.32: its metadata has path and version only), and
        a session of a float16 graph is made without complaint: only running one tells.
        """
        return self.fault is None and self._probe("float16") is None

    def obstacle(self, activations: str) -> str | None:
        """Why a graph that computes in `activations` can't run here, None where it can; starts the driver."""
        if self.fault is not None:
            return f"can't start on {self}: {self.fault}: install or update the device's driver"
        if activations == "float16" and not self.float16:
            return f"needs shader-f16, which {self} does not have"
        return None

    def open(self, model: str | bytes, settings: Any) -> Any:
        """An InferenceSession on the device; what the provider has no kernel for goes to the CPU's."""
        with self.turn:
            settings.add_provider_for_devices([self.handle], {})
            return self.ort.InferenceSession(model, settings)

    def _probe(self, dtype: str) -> str | None:
        settings = self.ort.SessionOptions()
        settings.log_severity_level = _SILENT
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            session = self.open(one_node_model("Sqrt", dtype, rank=1), settings)
            with self.turn:
                (found,) = session.run(None, {"x": np.full(4, 4, dtype)})
                del session
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            return str(error)
        return None if (found == 2).all() else f"the square roots of 4 are {found.tolist()}"


def open_session(
    ort: ModuleType, model: str | bytes, settings: Any, providers: Sequence[Any], device: PluginDevice | None
) -> Any:
    """An InferenceSession on a plugin's device, or on the `providers` of the build where `device` is None."""
    if device is not None:
        return device.open(model, settings)
    return ort.InferenceSession(model, settings, providers=providers, enable_fallback=False)
