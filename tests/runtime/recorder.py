"""A greedy sampler that keeps the logits that it draws from."""

from typing import Any

from thinkport.runtime import Sampler, SamplingSettings

GREEDY = SamplingSettings(temperature=0)


class Recorder(Sampler):
    """`seen` are copies of the logits, one a draw."""

    def __init__(self) -> None:
        super().__init__(GREEDY)
        self.seen: list[Any] = []

    def draw(self, logits: Any) -> int:
        self.seen.append(logits.copy())
        return super().draw(logits)
