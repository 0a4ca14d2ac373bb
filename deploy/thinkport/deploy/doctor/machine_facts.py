"""What this machine has, for the doctor: interpreter, packages, ONNX Runtime's builds, hardware and devices."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from thinkport.deploy.hardware import Hardware, installed_versions, this_hardware
from thinkport.deploy.targets import TARGETS
from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.providers.devices import Device, graphics_devices
from thinkport.runtime.providers.kernels import AUTO, Kernels
from thinkport.runtime.providers.ort import OrtBuild, build_of, import_onnxruntime, installed_builds, load_libraries
from thinkport.runtime.providers.plugin_look import look
from thinkport.runtime.providers.plugins import PluginFacts, Plugins
from thinkport.runtime.providers.program import program

_GENAI = (*(entry.genai_package for entry in TARGETS.values()), "onnxruntime-genai-directml")  # the last is known bad
PACKAGES = ("thinkport", "numpy", "tokenizers", "llguidance", *_GENAI)


@dataclass(frozen=True, kw_only=True)
class MachineFacts:
    """The machine as it was found.

    `build` is ONNX Runtime as it is imported, None where there is none, with `import_error` in words; `builds` are the
    distributions that claim its folder, `missing` the libraries that it looked for in vain, and `plugins` the providers
    that come beside it, installed or not. `kernels` says which of thinkport's own the CPU runs, or what they need.
    """

    python: str
    platform: str
    packages: Mapping[str, str]
    build: OrtBuild | None
    import_error: str
    builds: Mapping[str, str]
    missing: str
    devices: tuple[Device, ...]
    hardware: Hardware
    plugins: tuple[PluginFacts, ...] = ()
    kernels: str = ""


def machine_facts(kernels: str = AUTO) -> MachineFacts:
    """Look at this machine; ONNX Runtime is imported if it can be. `kernels` are those that `Model.load` would take.

    Raises:
        InputError: kernels that can't be had here.
    """
    build, error, missing, plugins = _build()
    return MachineFacts(
        python=f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}",
        platform=platform.platform(),
        packages=installed_versions(PACKAGES),
        build=build,
        import_error=error,
        builds=installed_builds(),
        missing=missing,
        devices=tuple(graphics_devices()),
        hardware=this_hardware(),
        plugins=plugins,
        kernels=_kernels(Kernels.here(kernels)),
    )


def _kernels(found: Kernels) -> str:
    """Tried anew, whatever is remembered: that is what a doctor is for."""
    found.forget()
    if found.obstacle:
        return found.obstacle
    chosen = "the best" if found.asked == AUTO else "as asked for,"
    return f"{found.name}, {chosen} of {', '.join(found.sets)} on this CPU"


def _build() -> tuple[OrtBuild | None, str, str, tuple[PluginFacts, ...]]:
    try:
        ort = import_onnxruntime()
        build = build_of(ort)  # before a plugin's provider stands beside those of the build
        return build, "", load_libraries(ort), look(Plugins(ort), program())
    except MissingExtraError as error:
        return None, str(error), "", ()
    except (ImportError, AttributeError, OSError) as error:  # builds over one another, or a missing system library
        return None, f"onnxruntime can't be imported: {error}", "", ()
