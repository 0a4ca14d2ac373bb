"""The providers that come as plugins beside ONNX Runtime: the one table of them, their devices, and what is missing.

A plugin's library is registered when a graph of its provider is asked for, once a process, and stays: to unregister it
under a living session ends the process (measured with 1.32). A device is what the plugin lists, never a guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from thinkport.runtime.artifact.manifest import Graph
from thinkport.runtime.errors import InputError
from thinkport.runtime.machine.plugin_device import PluginDevice
from thinkport.runtime.providers.plugin_devices import plugin_devices
from thinkport.runtime.providers.plugin_provider import PLAIN_BUILD, PluginProvider

__all__ = ["PLUGINS", "DeviceFacts", "PluginDevice", "PluginFacts", "PluginProvider", "Plugins"]

PLUGINS = (
    PluginProvider(
        provider="WebGpuExecutionProvider",
        distribution="onnxruntime-ep-webgpu",
        module="onnxruntime_ep_webgpu",
        extra="webgpu",
        tested=(("0.4.0", "1.32.0"),),  # its own metadata asks for no more than ONNX Runtime 1.24.4
        no_device=(
            "install the graphics card's driver, on Linux its Vulkan driver and libvulkan1 (a software adapter is "
            "listed where ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER is 1)"
        ),
    ),
)


def started_device(found: Sequence[PluginDevice]) -> PluginDevice:
    """The device of a plugin's, one or more, on which its sessions are, whichever they ask for.

    Read in WebGPU's source: an adapter is started once a process, by the system's order for performance, which has
    cards of their own first; no option names another one before onnxruntime's pull requests 32234 and 32319. Where
    several devices are equals, which one is not known, and the name says so.
    """
    hardware = [one for one in found if not one.software] or list(found)
    first = [one for one in hardware if one.discrete] or hardware
    if len(first) == 1:
        return first[0]
    return replace(first[0], name=" or ".join(dict.fromkeys(one.name for one in first)), driver=None)


@dataclass(frozen=True, kw_only=True)
class DeviceFacts:
    """A plugin's device in words; `needs` is what it lacks to be used, None where nothing."""

    number: int
    name: str
    vendor: str
    driver: str | None
    software: bool
    float16: bool
    needs: str | None


@dataclass(frozen=True, kw_only=True)
class PluginFacts:
    """A plugin on this machine; `needs` is what it lacks to be used, None where nothing.

    `loaded` says that it fits and its library is registered, so that at most a device is missing; `ended` that a
    process which looked at its devices crashed or hung.
    """

    provider: str
    distribution: str
    version: str | None
    needs: str | None
    loaded: bool = False
    ended: bool = False
    devices: tuple[DeviceFacts, ...] = ()


class Plugins:
    """The plugin providers beside one imported ONNX Runtime; `unusable` says of some why they must not be loaded."""

    def __init__(
        self, ort: ModuleType, table: Sequence[PluginProvider] = PLUGINS, unusable: Mapping[str, str] | None = None
    ):
        self._ort, self._unusable = ort, unusable or {}
        self._table = {entry.provider: entry for entry in table}

    def brings(self, provider: str, available: Sequence[str]) -> bool:
        """Whether a provider is to come from a plugin; a build may have one of that name built in instead."""
        entry = self._table.get(provider)
        return entry is not None and (entry.version is not None or provider not in available)

    @property
    def installed(self) -> tuple[str, ...]:
        """The plugins that are installed, each with its version."""
        return tuple(f"{entry.distribution} {entry.version}" for entry in self._table.values() if entry.version)

    def is_installed(self, provider: str) -> bool:
        """Whether the plugin that brings a provider is installed."""
        return provider in self._table and self._table[provider].version is not None

    def devices(self, provider: str) -> tuple[PluginDevice, ...]:
        """The devices that a plugin lists, in its order; registers its library on the first call.

        Raises:
            InputError: the plugin is missing, does not fit ONNX Runtime, or can't be loaded; the message begins with a
                verb, as an obstacle does.
        """
        entry = self._table[provider]
        if provider in self._unusable:
            raise InputError(self._unusable[provider])
        lacks = entry.lacks(self._ort.__version__, getattr(self._ort, "package_name", "") or PLAIN_BUILD)
        if lacks is not None:
            raise InputError(lacks)
        return plugin_devices(self._ort, entry)

    def place(self, graph: Graph, number: int | None, *, auto: bool) -> PluginDevice:
        """The device for a graph: the one that the plugin starts, which a number may confirm.

        Where nobody chose a provider (`auto`), a software adapter is none; where one did, it is better than nothing.

        Raises:
            InputError: there is no such device, or the plugin starts another one; see `devices`.
        """
        provider = graph.providers[0]
        entry, found = self._table[provider], self.devices(provider)
        if not found:
            raise InputError(f"finds no device for {entry.distribution} {entry.version}: {entry.no_device}")
        started = started_device(found)
        if number is None:
            if started.software and auto:
                raise InputError(f"is not taken by itself on a software adapter: ask for provider {graph.target}")
            return started
        if number >= len(found):
            listed = ", ".join(f"{one.number} {one}" for one in found)
            raise InputError(f"finds no device {number} of {provider}, expected one of: {listed}")
        if found[number] is started:
            return started
        raise InputError(
            f"can't run on device {number}, {found[number]}: {entry.distribution} {entry.version} starts {started} "
            f"whichever is asked for: leave :{number} out, or choose the card for this program in the system's "
            "graphics settings"
        )

    def listed(self) -> tuple[PluginFacts, ...]:
        """Every plugin of the table without what only its library tells."""
        return tuple(
            PluginFacts(provider=one.provider, distribution=one.distribution, version=one.version, needs=None)
            for one in self._table.values()
        )

    def facts(self) -> tuple[PluginFacts, ...]:
        """Every plugin of the table, with its devices if it has any; starts their drivers."""
        return tuple(map(self._facts, self.listed()))

    def _facts(self, listed: PluginFacts) -> PluginFacts:
        try:
            devices = self.devices(listed.provider)
        except InputError as error:
            return replace(listed, needs=str(error))
        needs = None if devices else f"finds no device: {self._table[listed.provider].no_device}"
        return replace(listed, needs=needs, loaded=True, devices=tuple(map(_device_facts, devices)))


def _device_facts(device: PluginDevice) -> DeviceFacts:
    return DeviceFacts(
        number=device.number,
        name=device.name,
        vendor=device.vendor,
        driver=device.driver,
        software=device.software,
        float16=device.float16,
        needs=device.obstacle("float32"),
    )
