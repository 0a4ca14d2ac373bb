"""ONNX Runtime's builds and devices, and which graph runs on which of them."""
