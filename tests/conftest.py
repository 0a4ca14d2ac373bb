"""Artifacts that several tests share, exported once a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from tests.adapters import ALLOWS_SOFTWARE, Adapter, find_adapter, listed_anew, with_webgpu_graph
from tests.browsers import browser, display, webkit  # noqa: F401  (fixtures)
from tests.made_once import made_once
from tests.plain_recipes import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thinkport.runtime.machine.plugin_device import PluginDevice

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")

ROOT = Path(__file__).resolve().parents[1]
NANO = ROOT / "artifacts" / "checkpoints" / "nano-qwen3"
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what a machine remembers, such as verdicts on providers, from the user's own and from earlier runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def standard_kernels() -> Iterator[None]:
    """Has all tests of this process use ONNX Runtime's kernels, whether our own are installed or not.

    Tests of our own bring their library; programs that tests start use what is installed. THINKPORT_TEST_KERNELS=native
    has the tests of this process use them too.
    """
    asked = os.environ.get("THINKPORT_TEST_KERNELS", "standard")
    if asked == "native":
        pytest.importorskip("thinkport_kernels", reason="THINKPORT_TEST_KERNELS=native needs thinkport-kernels")
        yield
        return
    assert asked == "standard", f"THINKPORT_TEST_KERNELS is {asked!r}, expected standard or native"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "thinkport_kernels", None)
        yield


@pytest.fixture
def native_kernels(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has a test use our own kernels as they are installed, which other tests do without; returns their library."""
    monkeypatch.delitem(sys.modules, "thinkport_kernels", raising=False)
    installed = pytest.importorskip("thinkport_kernels", reason="thinkport-kernels is not installed")
    library: Path = installed.LIBRARY
    assert library.exists(), f"{library} is missing"
    return library


@pytest.fixture(scope="session")
def nano_checkpoint() -> Path:
    """The trained reference checkpoint that the repository carries."""
    return NANO


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a made-up checkpoint of a published size: `made_up("0.6B", "--layers", "2")`; one a run and size."""
    tool = SHARED / "tools" / "make_checkpoint.py"

    def make(*arguments: str) -> Path:
        if not tool.is_file():
            pytest.skip("the tool that makes checkpoints up is not beside this repository (../shared)")
        size, *options = arguments

        def write(folder: Path) -> None:
            subprocess.run([sys.executable, str(tool), size, str(folder), *options], check=True, capture_output=True)

        return made_once(tmp_path_factory, ("made up", *arguments), "checkpoint", write)

    return make


@pytest.fixture(scope="session")
def nano_embedding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference checkpoint as if it had been trained to embed."""
    from tests.search_checkpoints import embedding_checkpoint

    return made_once(
        tmp_path_factory, ("embedding",), "nano-embedding", lambda folder: embedding_checkpoint(NANO, folder)
    )


@pytest.fixture(scope="session")
def nano_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference checkpoint as if it had been trained to rerank; its tokenizer has the two answers."""
    from tests.search_checkpoints import reranker_checkpoint

    return made_once(tmp_path_factory, ("reranker",), "nano-reranker", lambda folder: reranker_checkpoint(NANO, folder))


@pytest.fixture(scope="session")
def one_trace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Traces a model once a run, however often it is exported."""
    from tests.export.trace import traced
    from tests.traced_once import traced_once

    from thinkport.export import exporter

    with pytest.MonkeyPatch.context() as patch:
        for module in (exporter, traced):
            patch.setattr(module, "trace", partial(traced_once, tmp_path_factory))
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, one_trace: None) -> Callable[..., Path]:
    """Exports a checkpoint with the given settings, each combination once a run."""
    from thinkport.export.exporter import export
    from thinkport.export.settings import ExportSettings

    def make(checkpoint: Path, **settings: Any) -> Path:
        quantized = {} if "precision" in settings else {"recipe": PLAIN[64]}  # which has every kind of graph
        settings = {"certificate": False} | quantized | settings
        return made_once(
            tmp_path_factory,
            ("exported", checkpoint, *sorted(settings.items())),
            "artifact",
            lambda folder: export(ExportSettings(checkpoint=str(checkpoint), output=folder, **settings)),
        )

    return make


@pytest.fixture(scope="session")
def nano_artifact(exported: Callable[..., Path]) -> Path:
    """The reference checkpoint in int4, rounded plainly, with its certificate."""
    return exported(NANO, recipe=PLAIN[64], certificate=True)


@pytest.fixture(scope="session")
def nano_fp32_artifact(exported: Callable[..., Path]) -> Path:
    """The reference checkpoint in float32, fused."""
    return exported(NANO, precision="fp32")


@pytest.fixture(scope="session")
def nano_unfused_artifact(exported: Callable[..., Path]) -> Path:
    """The reference checkpoint in float32 as traced."""
    return exported(NANO, precision="fp32", fuse=False)


@pytest.fixture(scope="session")
def adapter() -> Adapter:
    """An adapter for WebGPU, whose `environment` a child process needs; skips where there is none.

    Where THINKPORT_NEEDS_ADAPTER is set, as `.ci/run` does once it installed one, that is a failure.
    """
    found = find_adapter()
    if isinstance(found, str):
        (pytest.fail if os.environ.get("THINKPORT_NEEDS_ADAPTER") else pytest.skip)(f"no adapter for WebGPU: {found}")
    return found


@pytest.fixture(scope="session")
def webgpu(adapter: Adapter) -> Iterator[PluginDevice]:
    """The same adapter in this process, which may have looked for one before without what a software one needs."""
    import onnxruntime

    with pytest.MonkeyPatch.context() as patch:
        for name, value in adapter.environment:
            patch.setenv(name, value)
        device = listed_anew(onnxruntime)[0]
        patch.delenv(ALLOWS_SOFTWARE, raising=False)  # read when the library is registered; a child would speak of it
        yield device


@pytest.fixture(scope="session")
def nano_webgpu_artifact(nano_fp32_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference checkpoint in float32 without goldens, whose graph for the CPU stands there for WebGPU too."""
    return with_webgpu_graph(nano_fp32_artifact, tmp_path_factory.mktemp("webgpu") / "artifact")
