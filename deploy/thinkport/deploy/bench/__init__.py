"""Measures an artifact beside other engines: speed by length, loading, memory and what the engine adds."""

from thinkport.deploy.bench.bandwidth import read_bandwidth
from thinkport.deploy.bench.benchmark import Benchmark, Measurement, measure
from thinkport.deploy.bench.contender import Contender, Kind, Sample
from thinkport.deploy.bench.machine import BenchMachine, this_machine
from thinkport.deploy.bench.plan import BenchPlan

__all__ = [
    "BenchMachine",
    "BenchPlan",
    "Benchmark",
    "Contender",
    "Kind",
    "Measurement",
    "Sample",
    "measure",
    "read_bandwidth",
    "this_machine",
]
