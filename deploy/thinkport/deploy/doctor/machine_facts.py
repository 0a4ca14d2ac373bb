"""What this machine has, for the doctor: interpreter, packages, ONNX Runtime's builds, hardware and devices."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from thinkport.deploy.hardware import Hardware, installed_versions, this_hardware
from thinkport.deploy.targets import TARGETS
from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.providers.devices import Device, graphics_devices
from thinkport.runtime.providers.ort import OrtBuild, build_of, import_onnxruntime, installed_builds, load_libraries

_GENAI = (*(entry.genai_package for entry in TARGETS.values()), "onnxruntime-genai-directml")  # the last is known bad
PACKAGES = ("thinkport", "numpy", "tokenizers", "llguidance", *_GENAI)


@dataclass(frozen=True, kw_only=True)
class MachineFacts:
    """The machine as it was found.

    `build` is ONNX Runtime as it is imported, None where there is none, with `import_error` in words; `builds` are the
    distributions that claim its folder, and `missing` the libraries that it looked for in vain.
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


def machine_facts() -> MachineFacts:
    """Look at this machine; ONNX Runtime is imported if it can be."""
    build, error, missing = _build()
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
    )


def _build() -> tuple[OrtBuild | None, str, str]:
    try:
        ort = import_onnxruntime()
        return build_of(ort), "", load_libraries(ort)
    except MissingExtraError as error:
        return None, str(error), ""
    except (ImportError, AttributeError, OSError) as error:  # builds over one another, or a missing system library
        return None, f"onnxruntime can't be imported: {error}", ""
