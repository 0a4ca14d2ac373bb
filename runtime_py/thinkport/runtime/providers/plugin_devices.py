"""The devices that a plugin lists: its library is registered once a process, and each device told in words.

Knows ONNX Runtime's list of devices. Must not know which device a graph goes to.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.plugin_device import PluginDevice
from thinkport.runtime.providers.devices import graphics_devices
from thinkport.runtime.providers.plugin_provider import PluginProvider

LIBRARY = "thinkport.{}"  # of a library, which ONNX Runtime keeps by the name that a program gives it
_KNOWN = "already registered"


def plugin_devices(ort: ModuleType, entry: PluginProvider) -> tuple[PluginDevice, ...]:
    """The devices of a plugin that is installed and fits, in its order; registers its library on the first call.

    Raises:
        InputError: ONNX Runtime can't load the library.
    """
    with entry.turn:
        return remembered_devices(ort, entry)


@cache
def remembered_devices(ort: ModuleType, entry: PluginProvider) -> tuple[PluginDevice, ...]:
    """The devices of an entry that was not asked for before in this process, whose library may be known already."""
    if not any(one.ep_name == entry.provider for one in ort.get_ep_devices()):
        try:
            ort.register_execution_provider_library(
                LIBRARY.format(entry.extra), import_module(entry.module).get_library_path()
            )
        except Exception as error:  # ONNX Runtime's exceptions share no base below Exception
            if _KNOWN not in str(error):
                raise InputError(
                    f"can't load {entry.distribution} {entry.version}: {error}: "
                    f"pip install --force-reinstall --no-deps {entry.distribution}=={entry.version}"
                ) from error
    # One without memory serves to compile graphs only: "virtual", in the plugin's words.
    own = [one for one in ort.get_ep_devices() if one.ep_name == entry.provider]
    usable = [one for one in own if one.memory_info(ort.OrtDeviceMemoryType.DEFAULT) is not None]
    drivers = {device.name: device.driver for device in graphics_devices()}
    return tuple(_device(ort, entry, at, handle, drivers) for at, handle in enumerate(usable))


def _device(ort: ModuleType, entry: PluginProvider, at: int, handle: Any, drivers: dict[str, str]) -> PluginDevice:
    hardware = handle.device  # an OrtHardwareDevice
    software = hardware.type == ort.OrtHardwareDeviceType.CPU
    vendor = hardware.vendor or f"vendor {hardware.vendor_id:#06x}"
    known = dict(hardware.metadata)
    name = known.get("Description") or f"GPU {hardware.device_id:#06x}"
    return PluginDevice(
        ort=ort,
        provider=entry.provider,
        plugin=f"{entry.distribution} {entry.version}",
        number=at,
        name="software adapter" if software else name,
        vendor=vendor,
        software=software,
        driver=None if software else drivers.get(name),
        handle=handle,
        turn=entry.turn,
        discrete=known.get("Discrete") == "1",
    )
