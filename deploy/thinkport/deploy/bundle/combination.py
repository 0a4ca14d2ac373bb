"""Which targets can't run on which platforms, and why: one table."""

from types import MappingProxyType

from thinkport.deploy.bundle.platform import Platform
from thinkport.deploy.targets import Target
from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.errors import InputError

_NO_DIRECTML = "DirectML is a part of Windows: choose cpu, or cuda where there is such a device"
_NO_CUDA = "NVIDIA's CUDA isn't for this system: choose cpu"
IMPOSSIBLE = MappingProxyType(
    {
        ("dml", "linux-x86_64"): _NO_DIRECTML,
        ("dml", "linux-aarch64"): "DirectML is a part of Windows: choose cpu",
        ("dml", "macos-arm64"): "DirectML is a part of Windows: choose cpu",
        ("dml", "win-arm64"): "onnxruntime-directml has no wheels for it: choose cpu",
        ("cuda", "macos-arm64"): _NO_CUDA,
        ("cuda", "win-arm64"): _NO_CUDA,
        ("cuda", "linux-aarch64"): "onnxruntime-gpu has no wheels for it: choose cpu",
    }
)


def check_combination(platform: Platform, target: Target, manifest: Manifest) -> None:
    """Refuse what can't work.

    Raises:
        InputError: with the reason.
    """
    if reason := IMPOSSIBLE.get((target.name, platform.name)):
        raise InputError(f"a bundle for {platform.name} with {target.name} can't work: {reason}")
    graphs = {graph.target for graph in manifest.graphs}
    if target.name not in graphs:
        raise InputError(
            f"{manifest.name} has no graph for {target.name}, only for {', '.join(sorted(graphs))}: export it again "
            f"with --target {target.name}"
        )
