"""The kernel lists are of the providers, packages and versions that the table of targets names."""

from functools import partial

import pytest

from thinkport.deploy.kernels.kernel_list import kernel_list, versions
from thinkport.deploy.targets import TARGETS, Target
from thinkport.runtime.providers.plugins import PLUGINS, PluginProvider

ENTRIES = pytest.mark.parametrize("entry", TARGETS.values(), ids=TARGETS)


@ENTRIES
def test_every_list_of_a_target_is_of_its_provider_and_of_a_package_that_brings_it(entry: Target) -> None:
    lists = [kernel_list(entry.name, version) for version in versions(entry.name)]
    assert lists
    assert {one.provider for one in lists} == {entry.providers[0]}
    assert {one.package for one in lists} <= set(entry.packages)
    assert all(one.source for one in lists)


@ENTRIES
def test_every_floor_of_a_target_has_the_list_of_that_version(entry: Target) -> None:
    floors = {form.onnxruntime_floor for form in entry.kv}
    assert floors <= {version.rpartition(".")[0] for version in versions(entry.name)}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.extra)
def test_a_plugin_of_the_runtime_is_the_target_of_that_name_with_kernels_of_a_tested_pair(
    plugin: PluginProvider,
) -> None:
    entry = TARGETS[plugin.extra]
    assert entry.providers[0] == plugin.provider
    assert plugin.distribution in entry.packages
    assert {(one.plugin, one.version) for one in map(partial(kernel_list, entry.name), versions(entry.name))} <= {
        *plugin.tested
    }
