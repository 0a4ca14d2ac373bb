"""Whether a graph's nodes can run where they should, told from ONNX Runtime's kernel lists without running it."""

from thinkport.deploy.kernels.check import ALLOWED, check
from thinkport.deploy.kernels.report import KernelReport, NodeVerdict

__all__ = ["ALLOWED", "KernelReport", "NodeVerdict", "check"]
