"""Weights to 4 or 8 bits: recipes, rounding, packing, and a bounded stream of row blocks. Pure numpy."""

from thinkport.export.quantize.packing import dequantize, pack, packed_nbytes, packed_shape, scales_nbytes, unpack
from thinkport.export.quantize.recipes import DEFAULT_RECIPE, RECIPES, ModelRecipe, Role, RoleRecipe, recipe_named
from thinkport.export.quantize.rounding import Rounded, quantize_rows
from thinkport.export.quantize.stream import (
    RoundingError,
    RowBlock,
    RowSource,
    StackedSize,
    quantize_blocks,
    quantize_tensor,
    stacked_size,
)

__all__ = [
    "DEFAULT_RECIPE",
    "RECIPES",
    "ModelRecipe",
    "Role",
    "RoleRecipe",
    "Rounded",
    "RoundingError",
    "RowBlock",
    "RowSource",
    "StackedSize",
    "dequantize",
    "pack",
    "packed_nbytes",
    "packed_shape",
    "quantize_blocks",
    "quantize_rows",
    "quantize_tensor",
    "recipe_named",
    "scales_nbytes",
    "stacked_size",
    "unpack",
]
