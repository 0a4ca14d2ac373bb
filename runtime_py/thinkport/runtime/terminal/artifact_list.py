"""What `thinkport list` prints: a line for each artifact on this machine, or JSON."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thinkport.runtime.hub.local_artifacts import LocalArtifact, local_artifacts
from thinkport.runtime.terminal.controls import harmless

_COMMIT = 12  # hex digits that tell a commit
_UNFOLDED = 10_000  # cells of a line in a pipe, where a path stays whole


def run_list(folders: Sequence[Path], *, as_json: bool) -> None:
    """Look for artifacts in the folders, or the current one, and in the Hub's cache."""
    found = local_artifacts(folders or [Path()])
    if as_json:
        sys.stdout.write(json.dumps([_facts(one) for one in found], indent=2, ensure_ascii=False) + "\n")
        return
    notes = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    whole = [one for one in found if one.manifest is not None]
    if whole:
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = _UNFOLDED
        console.print(_table(whole))
    for one in found:
        if one.problem is not None:
            notes.print(f"thinkport: warning: {harmless(one.problem)}")
    if not found:
        places = ", ".join(map(str, folders)) or "this folder"
        notes.print(
            f"No artifact in {places} or in the Hub's cache: make one with `thinkport export CHECKPOINT -o DIR`, or "
            "fetch one with `thinkport pull OWNER/NAME`"
        )


def _table(found: Sequence[LocalArtifact]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in ("name", "task", "recipe", "size", "artifact"):
        table.add_column(header, justify="right" if header == "size" else "left", overflow="fold")
    for one in found:
        assert one.manifest is not None, "those that can't be read have no row"
        manifest = one.manifest
        recipe = f"{manifest.recipe.name}, {manifest.recipe.bits_per_weight:.2g} bits"
        row = (manifest.name, str(manifest.task), recipe, f"{one.bytes / 1e6:,.0f} MB", _said(one))
        table.add_row(*(Text(harmless(cell)) for cell in row))
    return table


def _said(one: LocalArtifact) -> str:
    """How a verb is told of it: a folder, or the Hub's name with the commit's first digits."""
    if one.repository is None:
        return str(one.folder)
    name, _, commit = one.repository.partition("@")
    return f"{name}@{commit[:_COMMIT]}"


def _facts(one: LocalArtifact) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "folder": str(one.folder.resolve()),
        "repository": one.repository,
        "problem": one.problem,
        "bytes": one.bytes,
        "name": manifest and manifest.name,
        "task": manifest and manifest.task,
        "recipe": manifest and manifest.recipe.name,
        "graphs": [graph.file for graph in manifest.graphs] if manifest else [],
        "can_think": manifest is not None and manifest.thinking is not None,
    }
