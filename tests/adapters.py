"""A graphics adapter for tests of the WebGPU provider: the machine's own, or a software one that its packages bring.

Debian: `apt-get install chromium libvulkan1` for SwiftShader (float32), or `mesa-vulkan-drivers` 23 or newer (float16).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkport.runtime.machine.plugin_device import PluginDevice

ALLOWS_SOFTWARE = "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER"
_SOFTWARE = {ALLOWS_SOFTWARE: "1", "XDG_RUNTIME_DIR": "/tmp"}
_DRIVERS = (
    *sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json")),  # lavapipe
    Path("/usr/lib/chromium/vk_swiftshader_icd.json"),
)
_LOOK = """
import dataclasses, json
from thinkport.runtime.providers.ort import import_onnxruntime
from thinkport.runtime.providers.plugins import Plugins
(found,) = Plugins(import_onnxruntime()).facts()
print(json.dumps(dataclasses.asdict(found)))
"""


@dataclass(frozen=True)
class Adapter:
    """An adapter that works: the environment variables that it needs, and whether it has shader-f16."""

    environment: tuple[tuple[str, str], ...]
    name: str
    software: bool
    float16: bool


@cache
def find_adapter() -> Adapter | str:
    """The first adapter that computes, the machine's own before software; a string says why there is none.

    Each is tried in a process of its own, since a driver is chosen once a process and can take it down.
    """
    missing = "no WebGPU plugin looked for a device"
    for environment in ({}, *(_SOFTWARE | {"VK_DRIVER_FILES": str(path)} for path in _DRIVERS if path.exists())):
        command = [sys.executable, "-c", _LOOK]
        looked = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        if looked.returncode:
            missing = f"looking for a WebGPU device ended with {looked.returncode}: {looked.stderr[-300:]}"
            continue
        found = json.loads(looked.stdout.splitlines()[-1])
        for device in found["devices"]:
            if device["needs"] is None:
                name = environment.get("VK_DRIVER_FILES", device["name"])
                return Adapter(tuple(environment.items()), name, device["software"], device["float16"])
        missing = found["needs"] or found["devices"][0]["needs"]
    return missing


def listed_anew(ort: Any) -> tuple[PluginDevice, ...]:
    """What the plugin lists in the environment of now: it looks once, when its library is registered.

    No session may be on it: to unregister a library under one ends the process.
    """
    from thinkport.runtime.providers.plugin_devices import LIBRARY, remembered_devices
    from thinkport.runtime.providers.plugins import PLUGINS, Plugins

    (entry,) = PLUGINS
    with suppress(Exception):  # ONNX Runtime's exceptions share no base below Exception; it may not be registered
        ort.unregister_execution_provider_library(LIBRARY.format(entry.extra))
    remembered_devices.cache_clear()
    return Plugins(ort).devices(entry.provider)


def with_webgpu_graph(artifact: Path, folder: Path) -> Path:
    """A copy of an artifact whose float32 graph for the CPU is also its graph for WebGPU, in steps of 31 tokens.

    Longer ones are wrong on adapters of few lanes.
    """
    from thinkport.runtime.artifact.manifest import MANIFEST_NAME, read_manifest
    from thinkport.runtime.artifact.manifest_seal import OPEN, sealed

    shutil.copytree(artifact, folder)
    manifest = read_manifest(folder)
    cpu = next(graph for graph in manifest.graphs if graph.target == "cpu" and graph.kv.dtype == "float32")
    changes = {"file": "webgpu-float32.onnx", "target": "webgpu", "prefill_chunk": 31}
    changes["providers"] = ["WebGpuExecutionProvider", *cpu.providers]
    graph = cpu.model_copy(update=changes)
    shutil.copy(folder / cpu.file, folder / graph.file)
    files = manifest.files | {graph.file: manifest.files[cpu.file]}
    changed = manifest.model_copy(update={"graphs": [*manifest.graphs, graph], "files": files, "manifest_sha256": OPEN})
    (folder / MANIFEST_NAME).write_bytes(sealed(json.dumps(changed.model_dump(mode="json"), indent=2).encode()))
    return folder
