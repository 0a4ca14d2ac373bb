"""Shows the recipes as a table."""

from rich.console import Console
from rich.table import Table

from thinkport.export.quantize.recipes import DEFAULT_RECIPE, DEFAULT_RECIPES, RECIPES


def show_recipes() -> None:
    """One row a recipe on stdout."""
    default = {name: f" (default of {precision})" for precision, name in DEFAULT_RECIPES.items()}
    default[DEFAULT_RECIPE] = " (default)"
    table = Table("recipe", "what it is", box=None, header_style="bold", pad_edge=False)
    for recipe in RECIPES.values():
        table.add_row(recipe.name + default.get(recipe.name, ""), recipe.summary)
    Console().print(table)
