"""Applies a constraint to a reply's answer and leaves its thought free.

Knows the parts of a reply and the marker that opens a thought. Must not know grammars.
"""

from thinkport.runtime.constraints import AnswerConstraint
from thinkport.runtime.engine.generation import Origin, Token
from thinkport.runtime.engine.sampling import Row
from thinkport.runtime.thinking.opening import Part
from thinkport.runtime.thinking.thought_control import ThoughtControl


class AnswerGuard:
    """A constraint that begins where the answer begins. `control` is None for a model without thoughts."""

    def __init__(self, constraint: AnswerConstraint, control: ThoughtControl | None):
        self._constraint, self._control = constraint, control

    def shape(self, logits: Row) -> None:
        """Change the logits of the answer in place; before a reply's first token, opening a thought stays allowed."""
        control = self._control
        if control is not None and control.thinks:
            return
        held = self._constraint.apply(logits)
        if held is logits:
            return
        opens = control.start if control is not None and control.may_open else None
        kept = None if opens is None else logits[opens]
        logits[:] = held
        if opens is not None:
            logits[opens] = kept

    def accept(self, token: Token, part: Part, *, marker: bool) -> None:
        """Take note of a token of `part`; markers and forced tokens are no part of the answer.

        Raises:
            InputError: the format became too complex to hold.
        """
        if part is Part.ANSWER and not marker and token.origin is Origin.SAMPLED:
            assert token.id is not None
            self._constraint.accept(token.id)
