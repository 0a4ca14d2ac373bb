"""How a model's own tokens are drawn when a graph is measured on its own replies: as in a reply of the runtime."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from thinkport.runtime.artifact.manifest import SamplingPreset
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings


def drawing(preset: SamplingPreset, prompt: Sequence[int], seed: int) -> Callable[[NDArray[np.float32]], int]:
    """Draws one token after another behind `prompt` from logits (vocabulary,); the same seed draws the same."""
    sampler = Sampler(SamplingSettings.from_preset(preset), seed=seed)
    sampler.start(prompt)

    def draw(logits: NDArray[np.float32]) -> int:
        token = sampler.draw(logits)
        sampler.accept(token)
        return token

    return draw
