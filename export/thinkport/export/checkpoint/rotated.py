"""A checkpoint read with turned hidden states: the same function, whose matrices round better.

Knows which tensors read and write hidden states, as a family tells it; what turning is lies in `quantize.rotation`.
"""

from collections.abc import Sequence
from dataclasses import replace

from thinkport.export.checkpoint.checkpoint import Checkpoint
from thinkport.export.quantize.rotation import Branch, Rotation


def rotated(checkpoint: Checkpoint, branches: Sequence[Branch], block: int) -> Checkpoint:
    """The checkpoint with hidden states of all layers turned, `block` channels at a time; its tables stay as they are.

    What reads embeddings and what gives hidden states to the final norm turns them (`StreamedWeights.turned`, and the
    pass `TurnedStates` in a graph).

    Raises:
        CheckpointError: a norm can't be read.
    """
    gains = {branch.norm: checkpoint.read(branch.norm) for branch in branches}
    rotation = Rotation(
        block=block,
        gains={name: gains[branch.norm] for branch in branches for name in branch.readers},
        norms=frozenset(gains),
        writers=frozenset(name for branch in branches for name in branch.writers),
    )
    return replace(checkpoint, rotation=rotation)
