"""Holds an answer to a format, and tool calls to their tools' schemas, while tokens are drawn."""

from thinkport.runtime.structure.answer_constraint import AnswerConstraint
from thinkport.runtime.structure.constraint import Constraint
from thinkport.runtime.structure.grammars import Grammars

__all__ = ["AnswerConstraint", "Constraint", "Grammars"]
