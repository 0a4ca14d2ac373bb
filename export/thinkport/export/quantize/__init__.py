"""Weights to 4 or 8 bits: recipes, rounding, packing, and a bounded stream of row blocks. Pure numpy."""
