"""The overhead's measure on the reference model: its figures are counted, never judged here."""

from thinkport.deploy.bench.workers.artifact_worker import measure_overhead
from thinkport.runtime import Model


def test_streamed_and_bare_rates_are_measured_over_the_same_tokens(nano_artifact) -> None:
    with Model.load(nano_artifact) as model:
        overhead = measure_overhead(model, "What is 86*57?", tokens=8, rounds=1)
        assert model.manifest.stop_ids, "the model itself still stops"
    assert overhead.bare > 0
    assert overhead.stream > 0
    assert overhead.share == overhead.stream / overhead.bare
