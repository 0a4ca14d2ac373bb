"""Shows the recipes as a table."""

from rich.console import Console
from rich.table import Table

from thinkport.export.quantize.recipes import DEFAULT_RECIPE, RECIPES


def show_recipes() -> None:
    """One row a recipe on stdout."""
    table = Table("recipe", "what it is", box=None, header_style="bold", pad_edge=False)
    for recipe in RECIPES.values():
        table.add_row(recipe.name + (" (default)" if recipe.name == DEFAULT_RECIPE else ""), recipe.summary)
    Console().print(table)
