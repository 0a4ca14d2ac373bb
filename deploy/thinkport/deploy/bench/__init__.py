"""Measures an artifact beside other engines: speed by length, loading, memory and what the engine adds."""

from thinkport.deploy.bench.bandwidth import read_bandwidth
from thinkport.deploy.bench.benchmark import Benchmark, Row, measure
from thinkport.deploy.bench.contender import Contender, Kind, Sample
from thinkport.deploy.bench.machine import Machine, this_machine
from thinkport.deploy.bench.plan import BenchPlan

__all__ = [
    "BenchPlan",
    "Benchmark",
    "Contender",
    "Kind",
    "Machine",
    "Row",
    "Sample",
    "measure",
    "read_bandwidth",
    "this_machine",
]
