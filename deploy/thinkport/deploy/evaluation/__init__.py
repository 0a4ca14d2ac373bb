"""Accuracy against thinking budget: suites of problems, ways of thinking, and what a model makes of them."""

from thinkport.deploy.evaluation.comparison import Comparison, matches
from thinkport.deploy.evaluation.evaluator import Evaluation, evaluate, measure
from thinkport.deploy.evaluation.plan import plans
from thinkport.deploy.evaluation.progress import EvalListener
from thinkport.deploy.evaluation.row import EvalRow, Judgement, Tally
from thinkport.deploy.evaluation.suite import Problem, Suite
from thinkport.deploy.evaluation.suites import arithmetic, find_suite, read_suite

__all__ = [
    "Comparison",
    "EvalListener",
    "EvalRow",
    "Evaluation",
    "Judgement",
    "Problem",
    "Suite",
    "Tally",
    "arithmetic",
    "evaluate",
    "find_suite",
    "matches",
    "measure",
    "plans",
    "read_suite",
]
