"""Accuracy against thinking budget: suites of problems, ways of thinking, and what a model makes of them."""
