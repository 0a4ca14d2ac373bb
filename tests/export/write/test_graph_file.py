"""What a graph file says, and what it keeps to itself."""

import sys
from collections.abc import Callable
from pathlib import Path

import onnx


def test_a_graph_carries_no_path_of_the_machine_that_exported_it(nano_artifact: Path) -> None:
    written = (nano_artifact / "cpu.onnx").read_bytes()
    for trace in (sys.prefix, str(Path.home()), "site-packages", "forward", "Traceback"):
        assert trace.encode() not in written
    graph = onnx.load(nano_artifact / "cpu.onnx", load_external_data=False).graph
    assert not any(node.metadata_props or node.doc_string for node in graph.node)


def test_the_same_export_gives_the_same_bytes(
    nano_checkpoint: Path, nano_artifact: Path, exported: Callable[..., Path]
) -> None:
    again = exported(nano_checkpoint, certificate=True, workers=1)
    for name in ("cpu.onnx", "weights.bin", "goldens.safetensors", "genai_config.json"):
        assert (again / name).read_bytes() == (nano_artifact / name).read_bytes()
