"""The verbs of the deploy part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

import typer


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
