"""Holds an answer to a format, and tool calls to their tools' schemas, while tokens are drawn."""

from thinkport.runtime.constraints.answer_constraint import AnswerConstraint
from thinkport.runtime.constraints.grammars import Constraint, Grammars

__all__ = ["AnswerConstraint", "Constraint", "Grammars"]
