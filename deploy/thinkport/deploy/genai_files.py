"""The files of an artifact that are onnxruntime-genai's alone, by the graph's that they open. Knows names only."""


def genai_graph_name(file: str) -> str:
    """The file of the graph that onnxruntime-genai opens in place of `file`."""
    return f"genai-{file}"


def overlay_name(file: str) -> str:
    """The file that turns genai_config.json to the graph `file`."""
    return f"genai_overlay.{file.removesuffix('.onnx')}.json"
