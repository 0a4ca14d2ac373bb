"""Files of onnxruntime-web, in the folder `onnxruntime-web` beside this module."""
