"""Accuracy against thinking budget: suites of problems, ways of thinking, and the model's results."""
