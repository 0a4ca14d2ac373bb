"""A target that is only an entry of the table and a kernel list: exported, inspected, verified and run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from thinkport.deploy import targets
from thinkport.deploy.bundle import BundleSettings, make_bundle
from thinkport.deploy.kernels import kernel_list
from thinkport.deploy.kernels.check import check_graphs
from thinkport.deploy.verification import verify
from thinkport.export import ExportSettings, export
from thinkport.runtime import Model
from thinkport.runtime.artifact.manifest import read_manifest
from thinkport.runtime.engine.session import Session
from thinkport.runtime.errors import InputError

PROVIDER = "AzureExecutionProvider"  # in the ordinary build too; it leaves every node and all memory to the CPU
CLOUD = replace(
    targets.CPU,
    name="cloud",
    packages=("onnxruntime-cloud",),
    providers=(PROVIDER, *targets.CPU.providers),
    kv=(targets.KvForm(dtype="float32", onnxruntime_floor="1.32"),),
    quantized_embedding=False,
    impossible={"linux-x86_64": "the cloud is elsewhere"},
)


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The entry in the table, and beside the other kernel lists one of its own: the CPU's without embeddings."""
    lists = tmp_path / "kernels"
    lists.mkdir()
    for path in kernel_list.DATA.glob("*.json"):
        (lists / path.name).symlink_to(path)
    own = json.loads((kernel_list.DATA / "cpu-1.32.0.json").read_text(encoding="utf-8"))
    del own["kernels"]["com.microsoft.GatherBlockQuantized"]
    own |= {"target": CLOUD.name, "provider": PROVIDER, "package": CLOUD.packages[0]}
    (lists / "cloud-1.32.0.json").write_text(json.dumps(own), encoding="utf-8")
    monkeypatch.setattr(kernel_list, "DATA", lists)
    monkeypatch.setitem(targets.ENTRIES, CLOUD.name, CLOUD)


@pytest.mark.usefixtures("entered")
@pytest.mark.skipif(
    PROVIDER not in onnxruntime.get_available_providers(), reason=f"this build of ONNX Runtime has no {PROVIDER}"
)
def test_a_target_is_an_entry_and_its_kernel_list(nano_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    export(ExportSettings(checkpoint=str(nano_checkpoint), output=folder, targets=("cloud",)))
    graph = read_manifest(folder).graphs[0]
    assert (graph.file, graph.target, graph.providers) == ("cloud.onnx", "cloud", list(CLOUD.providers))
    assert {spec.dtype for spec in graph.inputs if spec.name.startswith("past")} == {"float32"}

    report = check_graphs(folder, "cloud")["cloud.onnx"]
    assert report.leaving == ()
    assert (report.kernels.package, {row.op for row in report.rows if row.place == "allowed"}) == (
        "onnxruntime-cloud",
        set(),
    )

    verification = verify(folder, provider="cloud", full=True)
    assert [check.detail for check in verification.checks if not check.passed or check.skipped] == []
    assert [check.name for check in verification.checks if check.figures] == ["goldens on cloud.onnx"]

    with Model.load(folder, provider="cloud") as model:
        assert model.generate("What is 3 plus 4?", thinking=False, sampling={"temperature": 0}, max_tokens=8).answer

    with pytest.raises(InputError, match="a bundle for linux-x86_64 with cloud can't work: the cloud is elsewhere"):
        make_bundle(folder, tmp_path / "out.zip", BundleSettings(platform="linux-x86_64", provider="cloud"))


@pytest.mark.skipif(
    PROVIDER not in onnxruntime.get_available_providers(), reason=f"this build of ONNX Runtime has no {PROVIDER}"
)
def test_memory_is_where_onnx_runtime_says_and_not_where_a_providers_name_does(nano_artifact: Path) -> None:
    manifest = read_manifest(nano_artifact)
    elsewhere = manifest.graphs[0].model_copy(update={"providers": [PROVIDER, *targets.CPU.providers]})
    sessions = [Session(onnxruntime, nano_artifact, graph, manifest.model) for graph in (elsewhere, manifest.graphs[0])]
    assert [session.buffers.at_hand for session in sessions] == [True, True]
    found, expected = (session.open_lane().step(np.array([[5, 6, 7]])) for session in sessions)
    assert np.array_equal(found, expected)
