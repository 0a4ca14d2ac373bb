"""The verbs of the deploy part. Heavy packages are imported when a verb runs, so `--help` stays quick."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this part's verbs to the console command."""
    app.command("inspect")(inspect)


def inspect(
    artifact: Annotated[Path, typer.Argument(help="Folder that `thinkport export` wrote.")],
    verify: Annotated[bool, typer.Option("--verify", help="Hash every file instead of comparing sizes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Show what is inside an artifact: model, graphs, passes, bits, sizes, KV memory, certificate."""
    from rich.console import Console

    from thinkport.deploy.contents import look_inside
    from thinkport.deploy.contents_view import show

    contents = look_inside(artifact, verify=verify)
    if as_json:
        sys.stdout.write(json.dumps(contents.as_json(), indent=2) + "\n")
    else:
        show(Console(highlight=False, markup=False), contents)
